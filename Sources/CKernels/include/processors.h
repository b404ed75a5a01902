#ifndef DREAMFARM_PROCESSORS_H
#define DREAMFARM_PROCESSORS_H

#ifdef __cplusplus
extern "C" {
#endif

/// How many processors this process may run on, at least 1: what its affinity mask allows.
int kernel_available_processors(void);

#ifdef __cplusplus
}
#endif

#endif
