-- wrk: a realistic mix of reads and appends over chats whose popularity follows Zipf's law. Prints one line of JSON.
-- Environment: TOKEN, CLIENT_ID, CHATS (how many), SKEW, WRITES (their part of all requests), THINK_MS.
local token = os.getenv("TOKEN")
local client_id = os.getenv("CLIENT_ID")
local chats = tonumber(os.getenv("CHATS"))
local skew = tonumber(os.getenv("SKEW"))
local writes = tonumber(os.getenv("WRITES"))
local think_ms = tonumber(os.getenv("THINK_MS") or "0")

local headers = { ["Authorization"] = "Bearer " .. token, ["X-Client-Id"] = client_id }
local json = { ["Authorization"] = "Bearer " .. token, ["X-Client-Id"] = client_id, ["Content-Type"] = "application/json" }
local body = '{"role": "user", "content": "' .. string.rep("Why is the build red? ", 10) .. '"}'
local cumulated, reads = {}, {}

-- A thread for each replica: wrk by itself would only ever use the first address.
local threads = 0
local addresses
function setup(thread)
  addresses = addresses or wrk.lookup(wrk.host, wrk.port or "80")
  thread:set("number", threads)
  thread.addr = addresses[threads % #addresses + 1]
  threads = threads + 1
end

function init()
  math.randomseed(os.time() + number)
  local sum = 0
  for rank = 1, chats do
    sum = sum + 1 / rank ^ skew
    cumulated[rank] = sum
  end
end

local function path(rank)
  return string.format("/api/chats/00000000-0000-4000-8000-%012x/messages", rank)
end

local function pick()
  local at = math.random() * cumulated[chats]
  local low, high = 1, chats
  while low < high do
    local middle = math.floor((low + high) / 2)
    if cumulated[middle] < at then low = middle + 1 else high = middle end
  end
  return low
end

function request()
  local rank = pick()
  if math.random() < writes then
    return wrk.format("POST", path(rank), json, body)
  end
  if not reads[rank] then reads[rank] = wrk.format("GET", path(rank), headers) end
  return reads[rank]
end

-- Between an answer and the next question, as people think: on average THINK_MS.
function delay()
  if think_ms == 0 then return 0 end
  return math.random(0, 2 * think_ms)
end

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %.3f, "mean_ms": %.4f, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, ' ..
      '"refused": %d, "broken": %d}',
    summary.requests, summary.duration / 1e6, latency.mean / 1000, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, latency.max / 1000, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
