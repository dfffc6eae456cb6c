-- Sends ready-made requests from a file (separated by NUL bytes) in turn and prints what came back as one JSON line.

local requests = {}
local turn = 0

function init(args)
   local file = assert(io.open(args[1], "rb"))
   for request in (file:read("*a") .. "\0"):gmatch("(.-)%z") do
      requests[#requests + 1] = request
   end
   file:close()
end

function request()
   turn = turn % #requests + 1
   return requests[turn]
end

function done(summary, latency, _)
   local e = summary.errors
   io.write(string.format(
      'RESULT {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "failed_status": %d, "failed_io": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      e.status, e.connect + e.read + e.write + e.timeout))
end
