# The Perl client against stockd: perl client.pl PORT

use strict;
use warnings;
use Redis;

sub check { my ($found, $expected) = @_; die "$found and not $expected" if $found ne $expected }

my $redis = Redis->new(server => "127.0.0.1:$ARGV[0]", read_timeout => 30);
check($redis->get("AAPL"), "172.5");
check(join(",", $redis->hmget("BRK/A", "price", "status")), "743500,trading");
check($redis->hmset("PERL", price => 1, volume => 2), "OK");
check(join(",", sort $redis->keys("*")), "AAPL,BRK/A,HALT,PERL,SOLD");
my ($cursor, $names) = $redis->scan(0);
check($cursor . ":" . scalar(@$names), "0:5");
check(join(",", $redis->ttl("PERL"), $redis->exists("PERL"), $redis->del("PERL"), $redis->ttl("PERL")), "-1,1,1,-2");
check($redis->info->{role}, "master");
print "all is well\n";
