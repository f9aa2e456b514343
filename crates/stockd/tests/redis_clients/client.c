/* hiredis against stockd: ./client PORT */

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int holds, const char *what) {
    if (!holds) {
        printf("not so: %s\n", what);
        exit(1);
    }
}

int main(int count, char **words) {
    struct timeval long_time = {30, 0};
    redisReply *reply;
    check(count == 2, "a port is given");
    redisContext *redis = redisConnectWithTimeout("127.0.0.1", atoi(words[1]), long_time);
    check(redis && !redis->err, "connected");
    reply = redisCommand(redis, "HGETALL %s", "BRK/A");
    check(reply && reply->elements == 12, "a quote has six fields");
    freeReplyObject(reply);
    redisAppendCommand(redis, "GET AAPL");
    redisAppendCommand(redis, "GET %s", "NOPE");
    redisAppendCommand(redis, "HINCRBY AAPL volume -1");
    check(redisGetReply(redis, (void **)&reply) == REDIS_OK && !strcmp(reply->str, "172.5"), "the price");
    freeReplyObject(reply);
    check(redisGetReply(redis, (void **)&reply) == REDIS_OK && reply->type == REDIS_REPLY_NIL, "nothing");
    freeReplyObject(reply);
    check(redisGetReply(redis, (void **)&reply) == REDIS_OK && reply->integer == 999, "what is left");
    freeReplyObject(reply);
    redisFree(redis);
    puts("all is well");
    return 0;
}
