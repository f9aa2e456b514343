# The ruby client against stockd: ruby client.rb PORT

require "redis"

redis = Redis.new(port: ARGV[0].to_i, timeout: 30)
def check(found, expected) = found == expected || abort("#{found.inspect} and not #{expected.inspect}")

check redis.get("AAPL"), "172.5"
check redis.hgetall("BRK/A")["price"], "743500"
check redis.mget("AAPL", "NOPE"), ["172.5", nil]
check redis.multi { |it| it.hincrby("AAPL", "volume", -1); it.get("AAPL") }, [999, "172.5"]
check redis.mapped_hmset("RUBY", { price: 1, volume: 2 }), "OK"
check redis.scan_each.to_a.sort, ["AAPL", "BRK/A", "HALT", "RUBY", "SOLD"]
check [redis.ttl("RUBY"), redis.type("RUBY"), redis.unlink("RUBY"), redis.ttl("RUBY")], [-1, "hash", 1, -2]
check redis.info["role"], "master"
redis.subscribe("AAPL") { |on| on.message { |symbol, _| check(symbol, "AAPL"); redis.unsubscribe } }
puts "all is well"
