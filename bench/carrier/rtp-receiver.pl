#!/usr/bin/perl
# Takes the audio of all calls on one UDP port and writes, for each packet, its RTP header (12 bytes) and the time at
# which the kernel took it in (seconds and microseconds, 64 bits each): see bench/measure/rtp.ts.
#
#   rtp-receiver.pl PORT FILE
#
# Perl, because it is on every Debian and reaches the kernel's time stamp (SIOCGSTAMP), which Node does not: the
# time at which a busy receiver gets round to reading a packet would say more of the receiver than of the sender.
use strict;
use warnings;
use Socket;

my ($port, $file) = @ARGV;
use constant { SIOCGSTAMP => 0x8906, SO_RCVBUFFORCE => 33, BUFFER => 16 * 1024 * 1024 };

socket(my $socket, PF_INET, SOCK_DGRAM, 0) or die "socket: $!";
# The larger one needs root; the other is cut to what the system allows.
setsockopt($socket, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER) or setsockopt($socket, SOL_SOCKET, SO_RCVBUF, BUFFER);
bind($socket, sockaddr_in($port, INADDR_LOOPBACK)) or die "bind $port: $!";
open(my $out, '>:raw', $file) or die "$file: $!";

my $running = 1;
$SIG{TERM} = sub { $running = 0 };
my $stamp = "\0" x 16;
ioctl($socket, SIOCGSTAMP, $stamp);    # the first one switches the stamps on
while ($running) {
  defined(recv($socket, my $packet, 2048, 0)) or next;
  next if length($packet) < 12;
  ioctl($socket, SIOCGSTAMP, $stamp) or next;
  # The buffer comes back longer than what the kernel filled in.
  print $out substr($packet, 0, 12), substr($stamp, 0, 16);
}
close($out) or die "$file: $!";
