/* Preloaded into a program, this ends it as soon as it opens a socket. */

#include <stdio.h>
#include <stdlib.h>

int socket(int domain, int type, int protocol);

int socket(int domain, int type, int protocol) {
    fprintf(stderr, "a socket was opened: %d %d %d\n", domain, type, protocol);
    abort();
}
