/* test_bus_wire.c - what makes no sense is counted and refused by the actor's side. */
#include "pair.h"

#include "bus_inside.h"

static void the_actors_side_refuses_too(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *self = actor(&pair, "actor", "1");
    bus_publishes(self->bus, "event", BUS_LOSSLESS, "");
    UNTIL(&pair, self->ups == 1);
    static const struct wire wires[] = {
        { .verb = VERB_HELLO }, { .verb = VERB_DELIVER }, { .verb = VERB_DELIVER, .topic = 7, .count = 1 },
        { .verb = VERB_ACKED, .topic = 500 }, { .verb = VERB_ACKED, .topic = UINT16_MAX }, { .verb = 200 },
        { .verb = VERB_ANSWERED, .number = 1 },
    };
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++) {
        struct letter letter;
        uint8_t header[WIRE_HEADER];
        letter_init(&letter);
        wire_pack(&wires[i], header);
        part_of(&letter.header, header, sizeof header);
        if (wires[i].verb == VERB_DELIVER)
            part_of(&letter.parts[letter.part_count++], "x", 1);
        bus_take(self->bus, &letter);
        letter_clear(&letter);
        assert_int_equal(self->bus->malformed, i + 1);
    }
    assert_int_equal(self->heard_count, 0);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_actors_side_refuses_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
