// What a receipt says, in words.

import { counted, words } from "./text.js";

const CANCELLED = {
  requested: "is being cancelled",
  stopped: "was cancelled",
  already_terminal: "had ended before",
  unknown: "is cancelled; what its last effect came to is unknown",
  rolled_back: "was cancelled, and its thread is where it was before",
};

/** `{ text, wrong, link }`: a receipt may say that somebody else was first, or that the command was denied. */
export function told(receipt) {
  const { type, run_id: run, barrier } = receipt;
  switch (type) {
    case "submitted":
      return { text: receipt.reused ? `${run} was there already` : `${run} is submitted`, link: run };
    case "decision_taken":
      return { text: `${barrier} is decided` };
    case "decision_kept":
      return { text: `kept for ${barrier || "the next barrier"}${receipt.standing ? ", each time it opens" : ""}` };
    case "decision_withdrawn":
      return { text: `${counted(receipt.count, "kept decision")} for ${barrier} withdrawn` };
    case "already_resolved":
      return {
        text: `${receipt.source || "Somebody"} was first: ${barrier} was decided by ${receipt.decision}`,
        wrong: true,
      };
    case "cancel":
      return { text: `${run} ${CANCELLED[receipt.outcome] ?? words(receipt.outcome)}` };
    case "pause":
      return {
        text: receipt.outcome === "paused" ? `${run} is paused` : `${run} pauses as soon as nothing of it runs`,
      };
    case "resumed":
      return { text: `${run} goes on` };
    case "undone":
      return { text: `${run} goes on from commit ${receipt.to}` };
    case "truncated":
      return { text: `${counted(receipt.count, "commit")} of ${run} forgotten` };
    case "deleted":
      return { text: `${run} with its ${counted(receipt.count, "commit")} is gone` };
    case "denied":
      return { text: receipt.reason, wrong: true };
    default:
      return { text: words(type) };
  }
}
