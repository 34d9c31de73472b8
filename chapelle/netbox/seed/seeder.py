"""The work itself: kind after kind, read, compared, and written by several threads."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec

from chapelle.errors import ChapelleError
from chapelle.netbox.expand.desired import Desired, Item, Ref, refs
from chapelle.netbox.seed.client import Client, RefusedBatchError, UnsureError
from chapelle.netbox.seed.compare import changes, payload, resolvable
from chapelle.netbox.seed.kinds import CONTENT_TYPES, FROM_TEMPLATES, KINDS, Json
from chapelle.netbox.seed.result import KindResult, SeedResult
from chapelle.netbox.seed.state import State

# Called with a kind's name, how many of its objects are done, and how many there are.
type Progress = Callable[[str, int, int], None]

# Requests at one time. NetBox has two or three worker processes; more would only queue.
THREADS = 3

# How often a kind is begun again after a request whose outcome is unknown, and the pause before.
ATTEMPTS = 4
PAUSE = 2.0  # seconds, doubled each time


class _Batch(msgspec.Struct):
    """One writing request: the objects, and the items that they come from."""

    method: str
    objects: list[Json]
    items: list[Item]
    fields: list[str]


class Seeder:
    """Seeds one NetBox.

    Arguments:
        client: a NetBox; for a dry run with a token that cannot write.
        desired: what it should contain.
        tag: the slug of the tag that all objects of ours carry.
        dry_run: only find out what would be written. The default, so that forgetting it is safe.
        adopt: change what has a name of the design and not our tag, and give it the tag. Without,
            it is used if it is as the design says, and otherwise left alone and a conflict; so is
            all that belongs to such a device.
        progress: is told of every batch.
    """

    def __init__(
        self,
        client: Client,
        desired: Desired,
        *,
        tag: str,
        dry_run: bool = True,
        adopt: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.client = client
        self.desired = desired
        self.tag = tag
        self.dry_run = dry_run
        self.adopt = adopt
        self.progress = progress or (lambda *_: None)
        self.state = State(client, desired)
        self.result = SeedResult(url=client.url, dry_run=dry_run)
        self._lock = threading.Lock()
        self._invented = 0
        self._strangers: set[Ref] = set()  # objects with a name of the design that are not ours
        self._left: Counter[tuple[str, str]] = Counter()  # what belongs to them, by kind and device
        self._reading: dict[str, Future[list[Json]]] = {}

    def run(self) -> SeedResult:
        """Do it all.

        Raises:
            InputError: NetBox refuses an object; what was written before stays, and the next run
                goes on from there.
            ChapelleError: NetBox does not answer.
        """
        began = time.monotonic()
        with ThreadPoolExecutor(THREADS, thread_name_prefix="seed") as pool:
            try:
                for name in KINDS:
                    self._read_ahead(pool, name)
                    self._kind(pool, name)
            finally:
                for future in self._reading.values():
                    future.cancel()
        for kind in self.result.kinds:
            kind.stale, kind.foreign = self.state.stale_and_foreign(kind.kind, self.tag)
        self.result.reads = self.client.counts["GET"]
        self.result.writes = self.client.counts.total() - self.result.reads
        self.result.seconds = time.monotonic() - began
        return self.result

    # -- reading ----------------------------------------------------------------------------------

    def _read_ahead(self, pool: ThreadPoolExecutor, name: str) -> None:
        """Begin to read what can be read by now, so that threads are not idle."""
        if name == "tags":
            early = [n for n, kind in KINDS.items() if kind.scope == "all"]
        elif name == "locations":
            early = [n for n, k in KINDS.items() if k.scope == "site" and n not in FROM_TEMPLATES]
            early = [n for n in early if n not in {"cables", "device_addresses"}]
        elif name == "interfaces":
            early = [*FROM_TEMPLATES, "ip_addresses", "device_addresses"]
        elif name == "inventory_items":
            early = ["cables"]
        else:
            return
        for other in early:
            if self.desired.of(other) and other not in self._reading:
                self._reading[other] = pool.submit(self.state.fetch, other)

    def _read(self, name: str) -> None:
        future = self._reading.pop(name, None)
        self.state.take(name, future.result() if future else self.state.fetch(name))

    # -- one kind ---------------------------------------------------------------------------------

    def _kind(self, pool: ThreadPoolExecutor, name: str) -> None:
        items = list(self.desired.of(name).values())
        if not items:
            return
        result = KindResult(kind=name)
        self.result.kinds.append(result)
        self.progress(name, 0, len(items))
        pause = PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            if attempt > 1 and name == "cables":  # their ends are known from the ports
                for other in CONTENT_TYPES:
                    self._read(other)
            self._read(name)
            result.unchanged = 0
            self._left.clear()
            try:
                self._passes(pool, name, items, result)
            except UnsureError:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(pause)
                pause *= 2
            else:
                break
        for (what, device), count in sorted(self._left.items()):
            self.result.conflicts.append(f"{count} {_words(what)} of {device}, which is not ours")
        self.progress(name, len(items), len(items))

    def _passes(
        self, pool: ThreadPoolExecutor, name: str, items: list[Item], result: KindResult
    ) -> None:
        """Write items; those that refer to others of their kind come after them."""
        pending = items
        while pending:
            ready = [item for item in pending if resolvable(item, self.state.ids)]
            if not ready and self._strangers:  # they refer to what was left undone
                self._left[name, "a device"] += len(pending)
                return
            if not ready:
                raise ChapelleError(
                    f"{len(pending)} {_words(name)} refer to what NetBox does not have.",
                    where=pending[0].origin,
                    found=pending[0].name,
                )
            chosen = {id(item) for item in ready}
            pending = [item for item in pending if id(item) not in chosen]
            creates, updates = self._differences(name, ready, result)
            self._write(pool, name, creates, updates, result)

    def _differences(
        self, name: str, items: list[Item], result: KindResult
    ) -> tuple[list[Item], list[tuple[Item, Json]]]:
        creates: list[Item] = []
        updates: list[tuple[Item, Json]] = []
        written = {*result.created, *result.updated}
        for item in items:
            record = self.state.records[name].get(item.key)
            if stranger := self._belongs_to_stranger(item):
                if record is None or changes(item, record, self.state.ids):
                    self._left[name, stranger] += 1
                continue
            if record is None:
                if name == "cables" and (reason := self.state.occupied(item)):
                    wanted = item.fields["label"]
                    self.result.conflicts.append(f"cable {wanted}: {reason}")
                elif name != "device_addresses":
                    creates.append(item)
                elif self.dry_run:
                    result.updated.append(item.name)
                continue
            different = changes(item, record, self.state.ids)
            if KINDS[name].tagged and not any(t["slug"] == self.tag for t in record["tags"]):
                if not self.adopt:
                    self._leave(name, item, different)
                    result.unchanged += not different
                    continue
                different["add_tags"] = [self._tag_id]
            if different:
                updates.append((item, {"id": record["id"], **different}))
            elif item.name not in written:
                result.unchanged += 1
        return creates, updates

    def _leave(self, name: str, item: Item, different: Json) -> None:
        """Leave an object alone that has a name of the design and is not ours."""
        self._strangers.add(item.ref)
        if different:
            what = _words(name).removesuffix("s")
            fields = ", ".join(sorted(different))
            conflict = f"{what} {item.name} is not ours, and differs in {fields}"
            if conflict not in self.result.conflicts:  # the kind may be begun again
                self.result.conflicts.append(conflict)

    def _belongs_to_stranger(self, item: Item) -> str:
        """The name of the device that is not ours and that an item is a part of; or nothing."""
        if not self._strangers:
            return ""
        if item.kind == "device_addresses":
            owners = [Ref("devices", item.key)]
        elif item.kind == "cables":
            ends = [*item.fields["a_terminations"], *item.fields["b_terminations"]]
            owners = [Ref("devices", end.key[:1]) for end in ends]
        else:
            owners = [ref for ref in refs(item.fields.get("device")) if ref.kind == "devices"]
        return next((" ".join(ref.key) for ref in owners if ref in self._strangers), "")

    @property
    def _tag_id(self) -> int:
        return self.state.ids[Ref("tags", (self.tag,))]

    # -- writing ----------------------------------------------------------------------------------

    def _write(
        self,
        pool: ThreadPoolExecutor,
        name: str,
        creates: list[Item],
        updates: list[tuple[Item, Json]],
        result: KindResult,
    ) -> None:
        if self.dry_run:
            self._pretend(creates, updates, result)
            return
        lanes: dict[Any, list[_Batch]] = defaultdict(list)
        for batch in self._batches(name, creates, updates):
            lanes[self._lane(batch.items[0])].append(batch)
        between = lanes.pop(0, [])
        failed = threading.Event()
        futures = [
            pool.submit(self._lane_of_batches, name, batches, result, failed)
            for batches in lanes.values()
        ]
        try:
            errors = [error for future in futures if (error := future.exception())]
        except BaseException:  # Ctrl-C
            failed.set()  # a lane may be minutes long: each ends after the batch that it is at
            raise
        if errors:
            unsure = [error for error in errors if isinstance(error, UnsureError)]
            raise next((error for error in errors if error not in unsure), errors[0])
        self._lane_of_batches(name, between, result, failed)

    def _pretend(
        self, creates: list[Item], updates: list[tuple[Item, Json]], result: KindResult
    ) -> None:
        for item in creates:
            self._invented -= 1
            self.state.ids[item.ref] = self._invented
        result.created += [item.name for item in creates]
        result.updated += [
            f"{item.name} ({', '.join(sorted(change.keys() - {'id'}))})" for item, change in updates
        ]

    @staticmethod
    def _lane(item: Item) -> Any:
        """Batches of one lane are written one after the other, lane 0 after all others.

        New devices are counted in the row of their type, so they go by type.
        """
        return item.fields["device_type"] if item.kind == "devices" else item.lane

    def _batches(
        self, name: str, creates: list[Item], updates: list[tuple[Item, Json]]
    ) -> Iterator[_Batch]:
        size = KINDS[name].batch
        by_lane: dict[Any, list[Item]] = defaultdict(list)
        for item in creates:
            by_lane[self._lane(item)].append(item)
        for items in by_lane.values():
            for start in range(0, len(items), size):
                chunk = items[start : start + size]
                objects = [payload(item, self.state.ids) for item in chunk]
                if KINDS[name].tagged:
                    for entry in objects:
                        entry["tags"] = [self._tag_id]
                yield _Batch("POST", objects, chunk, _all_fields(objects))
        changed: dict[Any, list[tuple[Item, Json]]] = defaultdict(list)
        for item, change in updates:
            changed[self._lane(item)].append((item, change))
        for pairs in changed.values():
            for start in range(0, len(pairs), size):
                part = pairs[start : start + size]
                objects = [change for _, change in part]
                yield _Batch("PATCH", objects, [item for item, _ in part], _all_fields(objects))

    def _lane_of_batches(
        self, name: str, batches: list[_Batch], result: KindResult, failed: threading.Event
    ) -> None:
        for batch in batches:
            if failed.is_set():
                return
            try:
                self._send(name, batch, result)
            except ChapelleError:
                failed.set()
                raise

    def _send(self, name: str, batch: _Batch, result: KindResult) -> None:
        endpoint = KINDS[name].endpoint
        names = [item.name for item in batch.items]
        try:
            if batch.method == "POST":
                ids = self.client.create(endpoint, batch.objects, batch.fields)
            else:
                self.client.update(endpoint, batch.objects, batch.fields)
                ids = [change["id"] for change in batch.objects]
        except RefusedBatchError as error:
            raise _explained(name, batch, error) from error
        with self._lock:
            for item, number in zip(batch.items, ids, strict=True):
                self.state.ids[item.ref] = number
            if batch.method == "POST":
                result.created += names
            else:
                result.updated += names
            done = result.unchanged + len(result.created) + len(result.updated)
            self.progress(name, done, len(self.desired.of(name)))


def _all_fields(objects: list[Json]) -> list[str]:
    fields = {field for entry in objects for field in entry} - {"id", "add_tags"}
    return sorted(fields)


def _explained(name: str, batch: _Batch, error: RefusedBatchError) -> RefusedBatchError:
    """The refusal with the names of the objects that NetBox refused, and where they come from."""
    what = name.replace("_", " ")
    if not error.reasons:
        return RefusedBatchError(
            f"NetBox refused {len(batch.items)} {what}, none of which was written.",
            {},
            where=f"{batch.items[0].origin}, sent to {error.where}",
            found=error.message,
        )
    place, reason = next(iter(error.reasons.items()))
    item = batch.items[place]
    more = len(error.reasons) - 1
    also = f" and {more} more" if more else ""
    return RefusedBatchError(
        f"NetBox refused {what} {item.name!r}{also}; none of the request was written.",
        error.reasons,
        where=item.origin,
        found=reason,
        remedy="correct the design or the object in NetBox, then run the command again",
    )


def _words(kind: str) -> str:
    return kind.replace("_", " ")
