"""`POST /v1/audio/*`: speech as a tone in a WAV file, and transcripts of whatever is uploaded.

Only WAV and raw PCM are made: a request for another format gets WAV, and the content type says so.
Source: https://platform.openai.com/docs/api-reference/audio, components `CreateTranscriptionResponse*`,
`SpeechAudio*Event`, `TranscriptText*Event`.
"""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import orjson

from gateway.model.usage import Usage
from gateway.providers.scripting import tokens
from gateway.providers.scripting.chat import EVENT_STREAM
from gateway.providers.scripting.multipart import Upload
from gateway.providers.scripting.play import Answer
from gateway.providers.scripting.refusals import wrong
from gateway.providers.scripting.scene import Scene, token_usage

RATE = 8_000
"""Samples a second, each 16 bits, one channel."""
WORD_S = 0.02
"""Seconds of sound for each word, at most `MAX_S` in all: small, since nobody listens."""
MAX_S = 2.0
AUDIO_PIECE = 4096
"""Bytes of sound in one chunk of a stream."""
_TONE_HZ = 440
_BYTES_A_SECOND = 16_000
"""Uploads are taken to be as long as if they were 8 kHz, 16 bits: a length that needs no decoder."""


def speech(scene: Scene) -> Answer:
    """`/audio/speech`. Raises `Refused` if the request is not one."""
    question = scene.question
    text = question.body.get("input")
    if not isinstance(text, str) or not text:
        raise wrong("input", "Invalid value for 'input': expected a text that is not empty.")
    pcm = _tone(min(MAX_S, WORD_S * max(1, tokens.count(text))))
    is_raw = question.body.get("response_format") == "pcm"
    sound = pcm if is_raw else _wav_header(len(pcm)) + pcm
    usage = scene.usage(tokens.count(text), len(pcm) // 160)
    if question.body.get("stream_format") == "sse":
        return _speech_events(scene, sound, usage)
    parts = tuple(sound[start : start + AUDIO_PIECE] for start in range(0, len(sound), AUDIO_PIECE))
    kind = "audio/pcm" if is_raw else "audio/wav"
    return Answer(parts, content_type=kind, model=question.model, usage=usage)


def transcript(scene: Scene) -> Answer:
    """`/audio/transcriptions` and `/audio/translations`. Raises `Refused` if the request is not one."""
    question = scene.question
    upload = question.body.get("file")
    if not isinstance(upload, Upload):
        raise wrong("file", "Missing required parameter: 'file'.")
    text = scene.text() if scene.reply.text is not None else f"A recording of {len(upload.data)} bytes."
    seconds = round(len(upload.data) / _BYTES_A_SECOND, 3)
    usage = scene.usage(math.ceil(seconds * 10), tokens.count(text))
    if question.stream and question.endpoint == "transcriptions":
        return _transcript_events(scene, text, usage)
    kind = question.body.get("response_format", "json")
    writer = _FORMATS.get(kind if isinstance(kind, str) else "json", _json)
    body, content_type = writer(scene, text, seconds, usage)
    return Answer((body,), content_type=content_type, model=question.model, usage=usage)


def _tone(seconds: float) -> bytes:
    samples = (int(6000 * math.sin(2 * math.pi * _TONE_HZ * n / RATE)) for n in range(int(RATE * seconds)))
    return b"".join(struct.pack("<h", sample) for sample in samples)


def _wav_header(size: int) -> bytes:
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + form + b"data" + struct.pack("<I", size)


def _speech_events(scene: Scene, sound: bytes, usage: Usage) -> Answer:
    events: list[dict[str, Any]] = [
        {"type": "speech.audio.delta", "audio": base64.b64encode(sound[start : start + AUDIO_PIECE]).decode()}
        for start in range(0, len(sound), AUDIO_PIECE)
    ]
    events.append({"type": "speech.audio.done", "usage": token_usage(usage)})
    return _events(scene, events, usage)


def _transcript_events(scene: Scene, text: str, usage: Usage) -> Answer:
    events: list[dict[str, Any]] = [
        {"type": "transcript.text.delta", "delta": piece} for piece in tokens.pieces(text, scene.reply.chunk)
    ]
    told = scene.told({"type": "tokens", **token_usage(usage)})
    events.append({"type": "transcript.text.done", "text": text, **told})
    return _events(scene, events, usage)


def _events(scene: Scene, events: list[dict[str, Any]], usage: Usage) -> Answer:
    flags = [True] * (len(events) - 1) + [False]
    return Answer(
        tuple(b"data: " + orjson.dumps(event) + b"\n\n" for event in events),
        content_type=EVENT_STREAM,
        model=scene.question.model,
        usage=usage,
        tokens=tokens.spread(usage.output_tokens, flags),
    )


def _json(scene: Scene, text: str, seconds: float, usage: Usage) -> tuple[bytes, str]:
    told = scene.told({"type": "tokens", **token_usage(usage)}) if scene.question.endpoint == "transcriptions" else {}
    return orjson.dumps({"text": text, **told, **scene.reply.extra}), "application/json"


def _verbose(scene: Scene, text: str, seconds: float, usage: Usage) -> tuple[bytes, str]:
    segment = {
        "id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": text, "tokens": [], "temperature": 0.0,
        "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.01,
    }  # fmt: skip
    body = {"task": "transcribe", "language": "english", "duration": seconds, "text": text, "segments": [segment]}
    told = scene.told({"type": "duration", "seconds": math.ceil(seconds)})
    return orjson.dumps({**body, **told, **scene.reply.extra}), "application/json"


def _plain(scene: Scene, text: str, seconds: float, usage: Usage) -> tuple[bytes, str]:
    return f"{text}\n".encode(), "text/plain; charset=utf-8"


def _srt(scene: Scene, text: str, seconds: float, usage: Usage) -> tuple[bytes, str]:
    end = _clock(seconds).replace(".", ",")
    return f"1\n00:00:00,000 --> {end}\n{text}\n\n".encode(), "text/plain; charset=utf-8"


def _vtt(scene: Scene, text: str, seconds: float, usage: Usage) -> tuple[bytes, str]:
    return f"WEBVTT\n\n00:00:00.000 --> {_clock(seconds)}\n{text}\n\n".encode(), "text/plain; charset=utf-8"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes // 60):02}:{int(minutes % 60):02}:{rest:06.3f}"


_FORMATS = {"json": _json, "text": _plain, "verbose_json": _verbose, "srt": _srt, "vtt": _vtt}
