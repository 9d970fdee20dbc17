-- Where a thread is: since when, checksum, run.

local thread = take()
need('heads')
return { head(thread) }
