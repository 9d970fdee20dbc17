-- The members of a list of the whole store, a page from a cursor on.

local name, cursor = take(), take()
local page = call(HASHES[name] and 'HSCAN' or 'ZSCAN', base .. name, cursor, 'COUNT', 200)
local members = {}
for n = 1, #page[2], 2 do members[#members + 1] = page[2][n] end
return { page[1], members }
