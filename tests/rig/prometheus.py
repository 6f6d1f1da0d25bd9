"""A real Prometheus that scrapes what a test runs. Debian's package, installed where it is missing."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from anneal_localcluster import apt
from tests.rig.operator import ROOT, free_port

RULES = ROOT / "charts" / "anneal" / "monitoring" / "rules.yaml"


def need() -> None:
    """prometheus and promtool."""
    if shutil.which("promtool") is None or shutil.which("prometheus") is None:
        apt.install(["prometheus"])


class Prometheus:
    """Scrapes these ports of this machine, by job, twice a second, with the chart's rules loaded."""

    def __init__(self, folder: Path, **jobs: int) -> None:
        need()
        self.port = free_port()
        shutil.copy(RULES, folder / "rules.yaml")
        scrape = [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
                  for job, port in jobs.items()]
        config = {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"},
                  "rule_files": ["rules.yaml"], "scrape_configs": scrape}
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        self.folder = folder

    async def __aenter__(self) -> "Prometheus":
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            ["prometheus", f"--config.file={self.folder}/prometheus.yaml", f"--storage.tsdb.path={self.folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self._log, stderr=self._log)
        self._session = aiohttp.ClientSession(f"http://127.0.0.1:{self.port}")
        try:
            await self._until_ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _until_ready(self) -> None:
        """It listens before its storage is open, and answers 503 until then."""
        async with asyncio.timeout(30):
            while not await self._is_ready():
                await asyncio.sleep(0.05)

    async def _is_ready(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            async with self._session.get("/-/ready") as answer:
                return answer.ok
        except aiohttp.ClientConnectionError:
            return False

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        self._process.terminate()
        self._process.wait(20)
        self._log.close()

    async def get(self, path: str, **query: str) -> Any:
        """`data` of an answer of the API."""
        async with self._session.get(f"/api/v1/{path}", params=query) as answer:
            return json.loads(await answer.text())["data"]

    async def samples(self, query: str) -> list[tuple[dict[str, str], float]]:
        """What a query finds now: labels and value."""
        found = (await self.get("query", query=query))["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in found]

    async def until(self, query: str, seconds: float = 30) -> list[tuple[dict[str, str], float]]:
        """What a query finds, as soon as it finds something."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := await self.samples(query)):
                    await asyncio.sleep(0.2)  # Prometheus tells nobody when it has scraped
                return found
        except TimeoutError:
            raise AssertionError(f"{query} found nothing within {seconds:.0f} s") from None
