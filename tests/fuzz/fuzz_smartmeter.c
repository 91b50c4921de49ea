/* fuzz_smartmeter.c - what Shelly and Octopus may say. */
#define SETTINGS "provider", "shelly", "url", "http://x"
#include "../upstream/fuzz_source.h"
