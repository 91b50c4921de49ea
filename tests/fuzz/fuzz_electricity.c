/* fuzz_electricity.c - what the providers of electricity's prices may say. */
#define SETTINGS "provider", "tariff", "tariff", "0.3", "time_zone", "Europe/Berlin", "token", "t", "area", "A"
#include "../upstream/fuzz_source.h"
