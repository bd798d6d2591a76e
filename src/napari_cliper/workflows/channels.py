"""Which channels of an image file are shown together, and between which values, from text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from PIL import ImageColor

from ..segmentation import PERCENTILES, Channel, InvalidInputError, percentile_limits

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*-\s*({_NUMBER})\s*")
_AS_IN_NAPARI = MappingProxyType({"green": "lime", "grey": "white", "gray": "white"})


@dataclass(frozen=True)
class ChannelColour:
    """A channel and its colour.

    Parameters
    ----------
    index : int
        From 0.
    colour : (float, float, float)
        Red, green and blue of the highest values, each 0 to 1.
    """

    index: int
    colour: tuple[float, float, float]

    def channel(self, limits: tuple[float, float]) -> Channel:
        """Return the channel, black below the limits and in its colour above."""
        return Channel(f"channel {self.index}", ((0.0, 0.0, 0.0), self.colour), limits)


@dataclass(frozen=True)
class ContrastRule:
    """Which values become black and white.

    Parameters
    ----------
    percentiles : (float, float)
        For channels without a range.
    ranges : mapping of int to (float, float)
        Values by channel.
    """

    percentiles: tuple[float, float] = PERCENTILES
    ranges: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    def limits(self, channel: int, planes: Sequence[Any]) -> tuple[float, float]:
        """Return the black and the white value of a channel.

        Parameters
        ----------
        channel : int
        planes : sequence of (Y, X) arrays
            The channel on each plane of a stack, of any library. A sample is read.
        """
        if channel in self.ranges:
            return self.ranges[channel]
        return percentile_limits(planes, self.percentiles)


def parse_channels(text: str) -> tuple[ChannelColour, ...]:
    """Parse channels and their colours.

    Parameters
    ----------
    text : str
        Such as ``"0:blue, 1:#00ff00, 3:red"``: the index of each channel, from 0, and a colour of
        CSS by name or number. ``green`` and ``grey`` are those of napari, #00ff00 and #ffffff.

    Raises
    ------
    InvalidInputError
        For anything else, and for a channel that is given twice.
    """
    found: dict[int, ChannelColour] = {}
    for entry in text.split(","):
        number, colon, word = (part.strip() for part in entry.partition(":"))
        if not (number.isdecimal() and colon and word):
            raise InvalidInputError(
                f"{entry.strip()!r} is no channel with a colour. Write for example "
                '--channels "0:blue, 1:#00ff00, 3:red"; the first channel is 0.'
            )
        index = int(number)
        if index in found:
            raise InvalidInputError(f"Channel {index} has two colours. Give it once.")
        found[index] = ChannelColour(index, _colour(word))
    return tuple(found.values())


def _colour(word: str) -> tuple[float, float, float]:
    name = word.lower()
    try:
        red, green, blue = ImageColor.getrgb(_AS_IN_NAPARI.get(name, name))[:3]
    except ValueError:
        raise InvalidInputError(
            f"{word!r} is no colour. Give a name such as blue or magenta, or a number such as "
            "#00ff00."
        ) from None
    return red / 255, green / 255, blue / 255


def parse_contrast(text: str) -> ContrastRule:
    """Parse percentiles, or a range of values for each channel.

    Parameters
    ----------
    text : str
        ``"0.1-99.9"``: percentiles for all channels. ``"0:100-4000, 1:50-900"``: values of channels
        0 and 1. Both can be combined, separated by commas.

    Raises
    ------
    InvalidInputError
        For anything else, and for values that do not increase.
    """
    percentiles, ranges = PERCENTILES, {}
    for entry in text.split(","):
        number, colon, rest = entry.rpartition(":")
        match = _RANGE.fullmatch(rest)
        if match is None or (colon and not number.strip().isdecimal()):
            raise InvalidInputError(
                f"{entry.strip()!r} is no contrast. Write percentiles, --contrast 0.1-99.9, or "
                'values for each channel, --contrast "0:100-4000, 1:50-900".'
            )
        low, high = float(match[1]), float(match[2])
        if not low < high:
            raise InvalidInputError(
                f"The contrast {entry.strip()} does not increase. Give the darker value first."
            )
        if colon:
            ranges[int(number)] = low, high
        elif low >= 0 and high <= 100:
            percentiles = low, high
        else:
            raise InvalidInputError(
                f"Percentiles are from 0 to 100; {entry.strip()} is not. For values, name the "
                f"channel: 0:{entry.strip()}."
            )
    return ContrastRule(percentiles, MappingProxyType(ranges))


def check_channels(wanted: Iterable[int], count: int) -> None:
    """Refuse channels that an image does not have.

    Raises
    ------
    InvalidInputError
    """
    beyond = [index for index in wanted if index >= count]
    if beyond:
        there = "one channel, 0" if count == 1 else f"the channels 0 to {count - 1}"
        raise InvalidInputError(f"The image has {there}; there is no channel {beyond[0]}.")
