"""The service's first half as a process that a test may kill: python -m tests.service.journaling PORT FOLDER."""

import asyncio
import sys
from pathlib import Path

from daemon.batch import BatchBuilder
from daemon.config import Cells, Mqtt
from daemon.config import Journal as Rule
from daemon.ingest import Decoder, Subscriber
from daemon.journal import Journal


async def main(port: int, folder: Path) -> None:
    mqtt = Mqtt(port=port, unacknowledged_max=200, group_second=0.005)
    subscriber, decoder, journal = Subscriber(mqtt), Decoder(mqtt, Cells()), Journal(folder, Rule())
    await subscriber.start()
    async for group in subscriber.groups():
        builder = BatchBuilder()
        for message in group:
            decoder.take(message.topic, message.payload, message.arrival_second, builder)
        journal.append(builder.build(), 0.0)
        subscriber.acknowledge(group)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
