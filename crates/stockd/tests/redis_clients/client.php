<?php
// phpredis against stockd: php client.php PORT

function check($found, $expected) {
    if ($found !== $expected) {
        exit(var_export($found, true) . " and not " . var_export($expected, true));
    }
}

$redis = new Redis();
$redis->connect("127.0.0.1", (int) $argv[1], 30.0);
check($redis->get("AAPL"), "172.5");
check($redis->mGet(["AAPL", "NOPE"]), ["172.5", false]);
check($redis->hMSet("PHP", ["price" => 1, "volume" => 2]), true);
check($redis->hGetAll("PHP")["price"], "1");
check([$redis->ttl("PHP"), $redis->type("PHP"), $redis->hExists("PHP", "volume")], [-1, Redis::REDIS_HASH, true]);
$cursor = null;
$all = [];
while ($names = $redis->scan($cursor)) {
    $all = array_merge($all, $names);
}
sort($all);
check($all, ["AAPL", "BRK/A", "HALT", "PHP", "SOLD"]);
check($redis->multi()->hIncrBy("AAPL", "volume", -1)->get("AAPL")->exec(), [999, "172.5"]);
check($redis->unlink("PHP"), 1);
check($redis->info("replication")["role"], "master");
check(count($redis->client("list")), 1);
echo "all is well\n";
