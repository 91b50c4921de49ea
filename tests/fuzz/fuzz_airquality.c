/* fuzz_airquality.c - what the providers of airquality may say. */
#define SETTINGS "latitude", "52.52", "longitude", "13.4"
#include "../upstream/fuzz_source.h"
