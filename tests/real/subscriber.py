"""subscriber.py - an independent WebSocket client: makes a long-lived token, or writes down every event.

Runs in Home Assistant's own Python environment (aiohttp).
  subscriber.py token PORT ACCESS_TOKEN          prints a long-lived token
  subscriber.py listen PORT TOKEN FILE           one line an event, exactly as it came; says "subscribed" when it is
  subscriber.py command PORT TOKEN JSON...       sends one command after the other, prints the answer of each on a line
"""

import asyncio
import json
import sys

import aiohttp


async def connect(session, port, token):
    socket = await session.ws_connect(f"ws://127.0.0.1:{port}/api/websocket", max_msg_size=0, heartbeat=20)
    assert (await socket.receive_json())["type"] == "auth_required"
    await socket.send_json({"type": "auth", "access_token": token})
    assert (await socket.receive_json())["type"] == "auth_ok"
    return socket


async def make_token(port, token):
    async with aiohttp.ClientSession() as session:
        socket = await connect(session, port, token)
        await socket.send_json({"id": 1, "type": "auth/long_lived_access_token", "client_name": "ingestor", "lifespan": 30})
        print((await socket.receive_json())["result"])
        await socket.close()


async def command(port, token, texts):
    async with aiohttp.ClientSession() as session:
        socket = await connect(session, port, token)
        for number, text in enumerate(texts, 1):
            await socket.send_json({"id": number, **json.loads(text)})
            print(json.dumps(await socket.receive_json()))
        await socket.close()


async def listen(port, token, path):
    async with aiohttp.ClientSession() as session:
        socket = await connect(session, port, token)
        await socket.send_json({"id": 1, "type": "subscribe_events"})
        with open(path, "a", encoding="utf-8") as file:
            async for message in socket:
                if message.type != aiohttp.WSMsgType.TEXT:
                    break
                frame = json.loads(message.data)
                if frame["type"] == "result":
                    print("subscribed", flush=True)
                elif frame["type"] == "event":
                    file.write(message.data + "\n")
                    file.flush()


if __name__ == "__main__":
    if sys.argv[1] == "token":
        asyncio.run(make_token(sys.argv[2], sys.argv[3]))
    elif sys.argv[1] == "command":
        asyncio.run(command(sys.argv[2], sys.argv[3], sys.argv[4:]))
    else:
        asyncio.run(listen(sys.argv[2], sys.argv[3], sys.argv[4]))
