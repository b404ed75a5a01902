#pragma once
// Calls of Linux that Swift's Glibc module lacks.
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

// Glibc declares these only under _GNU_SOURCE, which its Swift module is built without.
int pipe2(int descriptors[2], int flags);
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int lowest);

// A macro behind the same wall: the child gets a session of its own.
static const short spawn_setsid = 0x80;
