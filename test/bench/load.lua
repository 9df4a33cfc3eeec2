-- What wrk sends: real notifications, each of another phone than the one before. Every request has an unread count
-- and watermarks of its own, so each is news that has to be committed; a phone's watermarks continue where its last
-- notification ended. Every answer is looked at. Arguments: file of callback paths, number of phones, number of the
-- first notification, mean pause before a request in milliseconds, "close" or "keep-alive", "bell" or "nginx", number
-- of notifications to send (0: as many as the time allows), number of connections.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

local NL = "\r\n"
local ENVELOPE = '<?xml version="1.0" encoding="utf-8"?><soap11:Envelope xmlns:soap11="http://schemas.xmlsoap.org/soap/envelope/"><soap11:Header><t:RequestServerVersion xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" Version="Exchange2013_SP1" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types" /></soap11:Header><soap11:Body><m:SendNotification xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"><m:ResponseMessages><m:SendNotificationResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode><m:Notification>'
local ENVELOPE_END = '</m:Notification></m:SendNotificationResponseMessage></m:ResponseMessages></m:SendNotification></soap11:Body></soap11:Envelope>'

local function watermark(phone, count)
  return string.format("AQAAAJmZmZmIiHdHhmZV%08d%08dAAE=", phone, count)
end

function init(args)
  paths = {}
  for line in io.lines(args[1]) do paths[#paths + 1] = line end
  phones = tonumber(args[2])
  number = tonumber(args[3])
  pause = tonumber(args[4])
  connection = args[5]
  durable = ({ bell = "node", pair = "pair" })[args[6]]
  limit = tonumber(args[7])
  connections = tonumber(args[8])
  sent = 0
  answered = 0
  wrong = 0
  example = ""
  at = os.date("!%Y-%m-%dT%H:%M:%SZ")
  host = wrk.host .. ":" .. wrk.port
  math.randomseed(number + 1)
end

local function event(kind, mark, object, parent, more)
  return "<t:" .. kind .. "><t:Watermark>" .. mark .. "</t:Watermark><t:TimeStamp>" .. at .. "</t:TimeStamp>"
    .. object .. "<t:ParentFolderId Id=\"" .. parent .. "\" ChangeKey=\"AQAAAA==\" />" .. more .. "</t:" .. kind .. ">"
end

function request()
  -- wrk asks for one request before it begins, to look at it.
  if not begun then
    begun = true
    return "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
  end
  -- After the last one it is sent again until the others are answered: a repetition, which changes nothing.
  if limit == 0 or sent < limit then sent = sent + 1 end
  local n = number + sent - 1
  local phone = n % phones
  local round = math.floor(n / phones)
  local unread = 10 + (phone + 7 * round) % 90
  local mailbox = string.format("%08d", phone)
  local folder = "AQMkJAAxMTExMTExMS0yMjIyLTQzMzMtODQ0NC" .. mailbox .. "NTUALgAAAwwMDAwMDAwMDAwMDAwMDAwMDAwMDAw="
  local root = "AQMkJAAxMTExMTExMS0yMjIyLTQzMzMtODQ0NC" .. mailbox .. "NTUALgAAAwgICAgICAgICAgICAgICAgICAgICAg="
  local item = '<t:ItemId Id="AAMkJAAxMTExMTExMS0yMjIyLTQzMzMtODQ0NC' .. mailbox
    .. string.format("NTUARgAAAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ%08d", round) .. '" ChangeKey="CQAAAA==" />'
  local body = ENVELOPE
    .. "<t:SubscriptionId>EQBleDAxLmNvcnAuZXhhbXBsZRAAAACqqqqqu7vMTI3d7u7u7u7uACiodhRU3ggQAAAAERERESIi" .. mailbox
    .. "VVVVVQ==</t:SubscriptionId><t:PreviousWatermark>" .. watermark(phone, 3 * round)
    .. "</t:PreviousWatermark><t:MoreEvents>false</t:MoreEvents>"
    .. event("CreatedEvent", watermark(phone, 3 * round + 1), item, folder, "")
    .. event("NewMailEvent", watermark(phone, 3 * round + 2), item, folder, "")
    .. event("ModifiedEvent", watermark(phone, 3 * round + 3),
      '<t:FolderId Id="' .. folder .. '" ChangeKey="AQAAAA==" />', root,
      "<t:UnreadCount>" .. unread .. "</t:UnreadCount>")
    .. ENVELOPE_END
  return "POST " .. paths[phone + 1] .. " HTTP/1.1" .. NL
    .. "Content-Type: text/xml; charset=utf-8" .. NL
    .. "Accept: text/xml" .. NL
    .. "SOAPAction: http://schemas.microsoft.com/exchange/services/2006/messages/SendNotification" .. NL
    .. "Host: " .. host .. NL
    .. "Content-Length: " .. #body .. NL
    .. "Connection: " .. connection .. NL .. NL .. body
end

function delay()
  return pause > 0 and math.random(0, 2 * pause) or 0
end

function response(status, headers, body)
  local good = status == 200 and string.find(body, ">OK</", 1, true) ~= nil
    and (not durable or headers["Inboxbell-Durable"] == durable)
  if not good then
    wrong = wrong + 1
    example = tostring(status) .. " " .. string.gsub(string.sub(body, 1, 80), '[%c"\\]', " ")
  end
  answered = answered + 1
  if limit > 0 and answered == limit + connections then
    io.write("\nENOUGH\n")
    io.flush()
  end
end

function done(summary, latency, requests)
  local sent, wrong, example = 0, 0, ""
  for _, thread in ipairs(threads) do
    sent = sent + thread:get("sent")
    wrong = wrong + thread:get("wrong")
    example = thread:get("example")
  end
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"sent":%d,"wrong":%d,"example":"%s","connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.duration / 1e6, sent, wrong, example,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
