"""Keeps an identity fresh: renews it at two thirds of its certificate's life, and takes over what other
processes put into its folder."""

from __future__ import annotations

import logging
import os
import threading
import weakref

from countersign import _transport
from countersign.errors import CountersignError
from countersign.identity import Identity, Renewal

#: Seconds. Looks often instead of sleeping long: a timer stands still while the machine sleeps.
LOOK_INTERVAL = 20.0

log = logging.getLogger("countersign")


class Keeper:
    """The newest identity of one folder, for as long as somebody holds the value."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._stamp: object = None
        self._lock = threading.Lock()
        self._done = threading.Event()
        weakref.finalize(self, self._done.set)
        threading.Thread(
            target=_keep, args=(weakref.ref(self), self._done), name="countersign", daemon=True
        ).start()

    @staticmethod
    def of(identity: Identity) -> Keeper:
        """The one of this folder, address and process, made if nobody has it."""
        place = (os.getpid(), os.path.realpath(identity.folder), identity.address)
        with _KEEPERS_LOCK:
            keeper = _KEEPERS.get(place)
            if keeper is None:
                keeper = _KEEPERS[place] = Keeper(identity)
            return keeper

    @property
    def identity(self) -> Identity:
        """The newest."""
        return self._identity

    def look(self) -> None:
        """Takes over a certificate that lies newly in the folder, and renews it if it is time."""
        with self._lock:
            stamp = self._identity.stamp()
            if stamp != self._stamp:
                there = Identity.load(self._identity.folder).with_address(self._identity.address)
                if there.serial != self._identity.serial:
                    self._identity = there
                self._stamp = stamp
            if self._identity.needs_renewal():
                self._identity = renew(self._identity)
                log.info("certificate renewed")

    def renew(self) -> Identity:
        """Renews now. Blocks, at most for 15 s of waiting for the vault."""
        with self._lock:
            self._identity = renew(self._identity)
            return self._identity


def renew(identity: Identity) -> Identity:
    """Gets a certificate for a new key and puts both into the folder. The old ones stay as they are until
    the new ones are on disk. If another process renews the same folder at the same time, its result is
    taken.

    Raises :class:`CountersignError`; the folder still holds the old identity then.
    """
    with Renewal.of(identity) as renewal:
        if renewal.done is not None:
            return renewal.done
        answer = _transport.renew(identity, renewal.csr())
        return renewal.put_in_place(answer.certificate, answer.ca_certificate)


def _keep(keeper: weakref.ref[Keeper], done: threading.Event) -> None:
    while True:
        current = keeper()
        if current is None:
            return
        try:
            current.look()
        except CountersignError as error:
            # Again at the next look: a third of the certificate's life is left for that.
            log.warning("certificate not renewed: %s", error)
        except Exception:
            log.exception("certificate not renewed")
        # Not held while waiting: the keeper ends when the last of its users does.
        del current
        if done.wait(LOOK_INTERVAL):
            return


_KEEPERS: weakref.WeakValueDictionary[tuple[int, str, str], Keeper] = weakref.WeakValueDictionary()
_KEEPERS_LOCK = threading.Lock()
