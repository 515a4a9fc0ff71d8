-- wrk: sends the requests of a file, separated by NUL, over and over; at the end prints one line of JSON.
local threads, requests, place = {}, {}, 0

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  statuses = {}
  local file = assert(io.open(args[1], "rb"))
  for one in file:read("*a"):gmatch("([^%z]+)") do
    table.insert(requests, one)
  end
  file:close()
  if args[2] ~= "by-status" then
    response = nil
  end
end

function request()
  place = place % #requests + 1
  return requests[place]
end

function response(status)
  statuses[status] = (statuses[status] or 0) + 1
end

function done(summary, latency)
  local by_status = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("statuses")) do
      table.insert(by_status, string.format('"%d": %d', status, count))
    end
  end
  local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format(
    '{"answers": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "p999_ms": %.3f, "refused": %d, "broken": %d, "statuses": {%s}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, summary.errors.status, broken, table.concat(by_status, ", ")))
end
