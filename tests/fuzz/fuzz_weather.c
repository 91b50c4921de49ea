/* fuzz_weather.c - what the providers of weather may say. */
#define SETTINGS "latitude", "52.52", "longitude", "13.4"
#include "../upstream/fuzz_source.h"
