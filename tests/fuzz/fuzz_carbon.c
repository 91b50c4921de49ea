/* fuzz_carbon.c - what the providers of carbon may say. */
#define SETTINGS "provider", "uk"
#include "../upstream/fuzz_source.h"
