// libzmq's C interface, as pkg-config's `libzmq` finds it. 4.3.4 or newer.
#include <zmq.h>
#include <sys/eventfd.h>
