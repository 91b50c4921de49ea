"""What the REST API answers, against brute force over everything that it exports."""

import gzip
import http.client
import json
import random
import unittest
import urllib.parse

from system import Workspace, assert_same, exact, microseconds, recording, time_text, wait_for

STATES = ['" 12 "', '""', '"1E5"', '"inf"', '"NaN"', '"-0"', '"007"', '"on"', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udc00x"',
          '"unavailable"', '"1234567890123456789012345678901"', '"%s"' % ("\u6f22" * 255), '"%s"' % ("\U0001f600" * 255),
          '"\\u00e9\\ud83d\\ude00"', '"9223372036854775808"', '"\\\\ \\" \\n"']
ATTRIBUTES = ['{}', '{"a":9223372036854775808,"b":1e-7,"c":1234567890123456789012345678901,"d":-0,"e":1.0,"f":1E400}',
              '{"s":"\\u0000","t":"\\ud800","u":[1,[2,[null]],{"x":null}]}', '{"friendly_name":"K\u00fcche","unit_of_measurement":"\u00b0F"}',
              '{ "w" : 1 ,\\n "z":\\t2}'.replace("\\n", "\n").replace("\\t", "\t"), '{"twice":1,"twice":2}', '{"":1}']
START = 1767225600_000000


def odd_events(chance, count):
    """Events as text: values, times and contexts that Home Assistant may send, several in one microsecond."""
    at, events, contexts = START, [], ["c 0"]
    for i in range(count):
        at += chance.choice([0, 0, 1, 1000, 1000000])
        moment = at if chance.random() > 0.02 else chance.choice([0, 1, 4102444800000000, 253402300799999999])
        contexts = (contexts + [f"c {i}"])[-20:]
        context = json.dumps({"id": chance.choice(contexts), "parent_id": chance.choice([None] + contexts), "user_id": None})
        time, entity = time_text(moment), f"{chance.choice(['sensor', 'light'])}.odd_{chance.randrange(9)}"
        if i % 5:
            new = "null" if chance.random() < 0.05 else (
                f'{{"entity_id":"{entity}","state":{chance.choice(STATES)},"attributes":{chance.choice(ATTRIBUTES)},'
                f'"last_changed":"{time}","last_updated":"{time}","context":{context}}}')
            data = f'{{"entity_id":"{entity}","old_state":null,"new_state":{new}}}'
        else:
            data = f'{{"entity_id":"{entity}","n":{i},"attributes":{chance.choice(ATTRIBUTES)}}}'
        kind = "state_changed" if i % 5 else chance.choice(["call_service", "my_event"])
        events.append(f'{{"event_type":"{kind}","data":{data},"origin":"LOCAL","time_fired":"{time}","context":{context}}}')
    return events


def identity(event):
    """What makes it the same event, and its place in the order of time."""
    row = exact(event)
    data, time = row["data"], microseconds(row["time_fired"])
    if row["event_type"] == "state_changed":
        return time, data["entity_id"], row["context"]["id"], data["new_state"] is None
    return time, row["event_type"], row["context"]["id"], json.dumps(data)


def write_recording(path, events):
    """A recorded session whose events are these."""
    lines, subscription = [], None
    for line in recording("ha-2026.2.3"):
        message = json.loads(line["text"]) if line["dir"] in "<>" else None
        if line["dir"] == ">" and message["type"] == "subscribe_events":
            subscription = subscription or message["id"]
        if not (line["dir"] == "<" and isinstance(message, dict) and message.get("type") == "event"):
            lines.append(line)
    lines += [{"dir": "<", "t": i, "text": f'{{"type":"event","event":{event},"id":{subscription}}}'} for i, event in enumerate(events)]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return path


def paged(api, query):
    """The ids of every page, by cursor."""
    ids, cursor = [], {}
    while True:
        status, headers, body = api.request("GET", "/api/v1/events?" + urllib.parse.urlencode({**query, **cursor}))
        assert status == 200, (status, body)
        ids += [row["id"] for row in json.loads(body)]
        if "x-next-cursor" not in headers:
            return ids
        cursor = {"cursor": headers["x-next-cursor"]}


def with_texts(line):
    """The row of a line; its attributes or data beside it as they were written."""
    row, text = json.loads(line), line.decode()
    for name in ("attributes", "data"):
        begin = text.find(f'"{name}":') + len(name) + 3
        if row.get(name):
            row[name + " text"] = text[begin:json.JSONDecoder().raw_decode(text, begin)[1]]
    return row


def some_filters(chance, rows):
    """A query of a few random filters, and what it means for a row."""
    query, tests = {}, []

    def one_of(name):
        values = sorted({row[name] for row in rows if row.get(name)})
        if values and chance.random() < 0.3:
            several = name in ("entity_id", "event_type")
            chosen = chance.sample(values, min(len(values), chance.choice([1, 2, 20]) if several else 1))
            query[name] = ",".join(chosen)
            tests.append(lambda row: row.get(name) in chosen)

    for name in ("entity_id", "event_type", "domain", "device_id", "area_id", "entity_category", "context_id"):
        one_of(name)
    if chance.random() < 0.3:
        text = chance.choice(["kitchen", "LIGHT", "1e-7", "no such thing"])
        query["query"] = text
        places = ("entity_id", "event_type", "state", "attributes text", "data text")
        tests.append(lambda row: any(text.lower() in (row.get(place) or "").lower() for place in places))
    if chance.random() < 0.4:
        start, end = sorted(chance.sample([microseconds(row["timestamp"]) for row in rows], 2))
        if start < end:
            query.update(start_time=time_text(start), end_time=time_text(end))
            tests.append(lambda row: start <= microseconds(row["timestamp"]) < end)
    return query, lambda row: all(test(row) for test in tests)


class Questions(unittest.TestCase):
    def test_odd_values_come_back_exactly_in_the_order_in_which_they_came(self):
        """Whatever Home Assistant may send, through three workers"""
        events = odd_events(random.Random(3), 1500)
        first = {}
        for place, event in enumerate(events):
            first.setdefault(identity(event), (place, event))
        with Workspace() as place:
            home = place.home("--replay", write_recording(place.path / "odd.jsonl.gz", events))
            system = place.system(home_port=home.port, enrich=3, INGEST_BACKFILL="false").start() # the recording's states are others
            system.settled(len(first))
            lines = system.api.export()
            assert_same([exact(event) for _, event in first.values()], lines)
            self.assertEqual(system.api.get("/api/v1/quarantine")["count"], 0)
            rows = [exact(line) for line in lines]
            came = [(microseconds(row["timestamp"]), first[self.identity_of(row)][0]) for row in rows]
            self.assertEqual(came, sorted(came))
            for is_state in (True, False): # every key is there, whatever is known
                self.assertEqual(len({tuple(row) for row in rows if (row["event_type"] == "state_changed") == is_state}), 1)

    @staticmethod
    def identity_of(row):
        time = microseconds(row["timestamp"])
        if row["event_type"] == "state_changed":
            return time, row["entity_id"], row["context_id"], row["state"] is None
        return time, row["event_type"], row["context_id"], json.dumps(row["data"])

    def test_every_filter_finds_what_brute_force_finds(self):
        """Lists in both directions, exports and counts of random questions"""
        chance = random.Random(4)
        with Workspace() as place:
            home = place.home("--rate", 3000, "--wait-for-client", "--events", 3000, truth=False)
            system = place.system(home_port=home.port, enrich=2, query=2).start()
            system.settled(3000)
            lines = system.api.export()
            rows = [with_texts(line) for line in lines]
            for _ in range(60):
                query, wanted = some_filters(chance, rows)
                expected = [line for row, line in zip(rows, lines) if wanted(row)]
                ids = [json.loads(line)["id"] for line in expected]
                with self.subTest(query=query):
                    self.assertEqual(system.api.export(**query), expected)
                    self.assertEqual(system.api.count(**query), len(expected))
                    limit = max(7, len(ids) // 4)
                    self.assertEqual(paged(system.api, {**query, "limit": limit, "sort": "asc"}), ids)
                    self.assertEqual(paged(system.api, {**query, "limit": limit}), ids[::-1])

    def test_an_export_outlives_the_query_process_that_reads_it(self):
        """Killed three times on the way, it is whole"""
        with Workspace() as place:
            home = place.home("--rate", 30000, "--wait-for-client", "--events", 40000, truth=False)
            system = place.system(home_port=home.port, enrich=1).start()
            system.settled(40000)
            expected = b"\n".join(system.api.export()) + b"\n"
            connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=60)
            connection.request("GET", "/api/v1/events/export?format=ndjson")
            response, got = connection.getresponse(), b""
            for part in range(1, 4):
                got += response.read(len(expected) * part // 5 - len(got))
                pid = wait_for(lambda: system.pid("query-1"), 10, "the query process")
                self.assertTrue(system.signal("query-1", 9))
                wait_for(lambda: system.pid("query-1") not in (None, pid), 10, "another query process")
            got += response.read()
            connection.close()
            self.assertTrue(got == expected, f"{len(got)} of {len(expected)} bytes")


if __name__ == "__main__":
    unittest.main(verbosity=2)
