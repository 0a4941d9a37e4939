"""What every process with a node does: start ROS, spin without dying, end on a signal in good order."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from vision_llm_ros.nodes.dds import use_shipped_profile

LONGEST_WAIT_S = 0.25  # until a signal is noticed


@contextmanager
def ros(arguments: Sequence[str] | None = None) -> Iterator[threading.Event]:
    """Initialise ROS with the shipped DDS profile and give an event that is set by SIGINT or SIGTERM.

    rclpy's own handlers would shut the context down at once, and the last say-backs could not be sent.
    A second signal has Python's usual effect.
    """
    use_shipped_profile()
    stop = threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    rclpy.init(
        args=list(arguments if arguments is not None else sys.argv), signal_handler_options=SignalHandlerOptions.NO
    )
    try:
        yield stop
    finally:
        rclpy.try_shutdown()
        for number, handler in before.items():
            signal.signal(number, handler)


def spin(node: Node, should_stop: Callable[[], bool], executor: SingleThreadedExecutor | None = None) -> None:
    """Serve callbacks until told to stop; a callback that raises is logged and the next one is served.

    One thread serves all callbacks: they are short, and rclpy's MultiThreadedExecutor pays for every
    one of them with a hand-over between threads that share one interpreter lock anyway.
    """
    executor = executor or SingleThreadedExecutor()
    executor.add_node(node)
    while not should_stop():
        try:
            executor.spin_once(timeout_sec=LONGEST_WAIT_S)
        except ExternalShutdownException:
            break
        except Exception as error:
            place = "".join(traceback.format_exception(error)[-2:]).strip()
            node.get_logger().error(f"A callback failed: {place}", throttle_duration_sec=1.0)
    executor.remove_node(node)
    executor.shutdown(timeout_sec=1.0)
