from __future__ import annotations

import numpy as np
import pytest

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.language.codec import OffsetCodec
from vision_llm_ros.language.vocabulary import Vocabulary, format_names


def test_default_vocabulary_has_the_published_tokens() -> None:
    vocabulary = Vocabulary()
    assert len(vocabulary) == 1025 + 512 + 49 + 1 + 6
    assert vocabulary.names[vocabulary.locations][0] == "<p-512>"
    assert vocabulary.names[vocabulary.locations][-1] == "<p512>"
    assert vocabulary.names[vocabulary.classes][-1] == "<c511>"
    assert vocabulary.names[vocabulary.formats][:3] == ("<cls>", "<x1>", "<y1>")
    assert vocabulary.names[vocabulary.formats][-1] == "<y24>"
    assert vocabulary.names[vocabulary.segs] == tuple(f"[SEG{i}]" for i in range(6))
    assert vocabulary.names[vocabulary.text_query] == "<text>"


@pytest.mark.parametrize("bins", [3, 257, 1025])
def test_names_and_rows_are_inverse_and_dense(bins: int) -> None:
    vocabulary = Vocabulary(bins, 10)
    assert [vocabulary.row(name) for name in vocabulary.names] == list(range(len(vocabulary)))


def test_location_row_is_the_bin_of_the_codec() -> None:
    bins = OffsetCodec(1025).encode(np.array([0.5, -0.5]))
    assert [Vocabulary().names[int(row)] for row in bins] == ["<p256>", "<p-256>"]


@pytest.mark.parametrize("num_points", [2, 8, 24])
def test_format_query_has_one_class_and_two_coordinates_per_point(num_points: int) -> None:
    assert len(Vocabulary().format_query(num_points)) == 1 + 2 * num_points


def test_longer_tuple_begins_with_the_shorter() -> None:
    assert format_names(16)[:17] == format_names(8)


@pytest.mark.parametrize("bad", [lambda: Vocabulary(1024), lambda: Vocabulary(1025, 0), lambda: format_names(25)])
def test_bad_sizes_are_refused(bad: object) -> None:
    with pytest.raises(ConfigError):
        bad()  # type: ignore[operator]


def test_unknown_token_is_named() -> None:
    with pytest.raises(ConfigError, match="<c512>"):
        Vocabulary().class_row(512)
