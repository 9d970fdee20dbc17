"""LangGraph's quickstart: an agent that calls tools until it needs no more, and remembers the conversation."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.graph import END, START, MessagesState, StateGraph

import terzetto.langgraph


class ScriptedModel(GenericFakeChatModel):
    """Says what stands in a script, as a model would that was asked the same."""

    def bind_tools(self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **_: Any) -> Any:
        return self


@tool
def multiply(a: int, b: int) -> int:
    """Multiply `a` and `b`."""
    return a * b


@tool
def add(a: int, b: int) -> int:
    """Add `a` and `b`."""
    return a + b


tools: dict[str, BaseTool] = {it.name: it for it in (add, multiply)}
model: BaseChatModel = ScriptedModel(
    messages=iter(
        [
            AIMessage("", tool_calls=[ToolCall(name="add", args={"a": 3, "b": 4}, id="call-1")]),
            AIMessage("", tool_calls=[ToolCall(name="multiply", args={"a": 7, "b": 6}, id="call-2")]),
            AIMessage("The result is 42."),
            AIMessage("You asked me to add 3 and 4, and to multiply that by 6."),
        ]
    )
)
model_with_tools = model.bind_tools(list(tools.values()))


def llm_call(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """The model decides whether to call a tool or not."""
    system = SystemMessage("You are a helpful assistant that does arithmetic.")
    return {"messages": [model_with_tools.invoke([system, *state["messages"]])]}


def tool_node(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Perform the tool calls."""
    last = state["messages"][-1]
    assert isinstance(last, AIMessage)
    return {
        "messages": [
            ToolMessage(str(tools[call["name"]].invoke(call["args"])), tool_call_id=call["id"])
            for call in last.tool_calls
        ]
    }


def should_continue(state: MessagesState) -> Literal["tool_node", "__end__"]:
    """Go on as long as the model calls tools."""
    last = state["messages"][-1]
    return "tool_node" if isinstance(last, AIMessage) and last.tool_calls else END


builder = StateGraph(MessagesState)
builder.add_node("llm_call", llm_call)
builder.add_node("tool_node", tool_node)
builder.add_edge(START, "llm_call")
builder.add_conditional_edges("llm_call", should_continue, ["tool_node", END])
builder.add_edge("tool_node", "llm_call")
agent = builder.compile(
    checkpointer=terzetto.langgraph.Checkpointer("sqlite:agent.db"),
)

config: RunnableConfig = {"configurable": {"thread_id": "1"}}
for question in ("Add 3 and 4, and multiply that by 6.", "What did I ask you?"):
    result = agent.invoke({"messages": [HumanMessage(question)]}, config)
    print(result["messages"][-1].content)
print(len(agent.get_state(config).values["messages"]), "messages")
