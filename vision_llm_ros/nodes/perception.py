"""The perception node: cameras and sentences in, typed and time-honest results out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from vision_llm_ros.config import NodeConfig, RuntimeConfig
from vision_llm_ros.errors import VisionLLMError
from vision_llm_ros.interfaces import Engine, Result
from vision_llm_ros.language.dialogue import Dialogue
from vision_llm_ros.nodes import images, parameters
from vision_llm_ros.nodes.diagnostics import diagnostics
from vision_llm_ros.nodes.inputs import Inputs, camera_names
from vision_llm_ros.nodes.outputs import Outputs
from vision_llm_ros.nodes.process import ros, spin
from vision_llm_ros.nodes.requests import Requests
from vision_llm_ros.runtime.scheduler import CommandBook, CommandEvent, Parser
from vision_llm_ros.runtime.slots import Drop
from vision_llm_ros.runtime.statistics import Statistics
from vision_llm_ros.runtime.worker import Arrival, Worker

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
READ_ONLY = ("autostart", "diagnostics_period_s")
DYNAMIC = frozenset(
    {
        "default_rate_hz",
        "time_to_live_s",
        "max_live_commands",
        "max_frame_age_s",
        "max_pixels",
        "asr_confidence_threshold",
    }
)


class PerceptionNode(LifecycleNode):
    """Loads a model on configure, listens and answers while active.

    Topics (relative, remappable): in `image` or `<camera>/image` (with `/compressed` when image_transport
    is compressed), `command`, `command_text`; out `~/detections`, `~/masks`, `~/mask_image`, `~/caption`,
    `~/restored`, `~/restored/image`, `~/status`, `~/debug_image`, `/diagnostics`; service `~/ask`,
    action `~/perceive`.

    Args:
        engine, parse: used instead of the model named by the parameters.
        options: of the underlying node, e.g. `parameter_overrides`.
    Raises:
        ConfigError: a parameter given at start is bad.
    """

    def __init__(self, engine: Engine | None = None, parse: Parser | None = None, **options: Any) -> None:
        super().__init__("perception", **options)
        self._given_engine, self._given_parser = engine, parse
        self._worker: Worker | None = None
        self._dialogue: Dialogue | None = None
        self._outputs: Outputs | None = None
        self._inputs: Inputs | None = None
        self._declare_parameters()
        self._requests = Requests(self, self._active_worker, lambda: self._config)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady clocks: a simulation that does not run yet must not silence the node.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._reporter = self.create_timer(self._config.diagnostics_period_s, self._report, clock=self._steady)
        if self._config.autostart:
            self._starter = self.create_timer(0.0, self._start, clock=self._steady)
        jump = JumpThreshold(
            min_forward=Duration(seconds=10), min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        self._before_jump_s = 0.0
        self._jump_watch = self.get_clock().create_jump_callback(
            jump, pre_callback=self._before_jump, post_callback=self._after_jump
        )

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm the model; FAILURE, with the reason in the log, if it cannot serve."""
        started = time.monotonic()
        try:
            self._config = parameters.read(self, NodeConfig)
            runtime = parameters.read(self, RuntimeConfig)
            engine = self._given_engine or load_engine(str(self.get_parameter("model").value), runtime)
            self._dialogue = Dialogue(self._given_parser or load_parser(engine))
            engine.warm_up()
            images.prepare()
        except Exception as error:  # whatever a model may raise; rclpy would swallow it without a word
            self.get_logger().error(f"Cannot configure: {_named(error)}. Correct this and configure the node again")
            return FAILURE
        book = CommandBook(self._dialogue.parse, engine.tasks, self._config, camera_names(self._config))
        self._worker = Worker(engine, book, self._now_s, self, Statistics(), self._stamp_now_s)
        latched = max(10, 4 * self._config.max_live_commands)
        self._outputs = Outputs(self, latched, self._note_unsent)
        tasks = ", ".join(sorted(engine.tasks))
        self.get_logger().info(
            f"Configured in {time.monotonic() - started:.1f} s: {engine.name} {engine.weights_hash} on "
            f"{engine.device} in {engine.dtype}; serves {tasks}"
        )
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the publishers, then the worker, then the subscriptions."""
        if self._worker is None or super().on_activate(state) is not SUCCESS:
            return FAILURE
        try:
            self._worker.start()
            self._inputs = Inputs(self, self._worker, lambda: self._config)
        except Exception as error:
            self.get_logger().error(f"Cannot activate: {_named(error)}")
            self._stop_serving("the node could not be activated")
            super().on_deactivate(state)
            return FAILURE
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close in the reverse order; live commands end as STOPPED, said back before the publishers close."""
        self._stop_serving("the node was deactivated")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the model."""
        done = super().on_cleanup(state)
        self._release()
        return done

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_serving("the node was shut down")
        done = super().on_shutdown(state)
        self._release()
        return done

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition raised: back to unconfigured, from where the node can be configured again."""
        self.get_logger().error(f"A transition from {state.label} failed; the node is unconfigured now")
        self._stop_serving("the node failed")
        self._release()
        return SUCCESS

    def close(self) -> None:
        """Shut down in good order, from any state, and destroy the node."""
        try:
            self.trigger_shutdown()
        except rclpy_implementation.RCLError as error:
            self.get_logger().debug(f"No shutdown transition: {error}")
            self._stop_serving("the node was shut down")
            self._release()
        self._requests.destroy()
        self._jump_watch.unregister()
        self.destroy_node()

    def on_event(self, event: CommandEvent) -> None:
        """Say back to everybody and to who waits for it."""
        if self._outputs is not None:
            self._outputs.on_event(event)
        self._requests.on_event(event)

    def on_result(self, result: Result, arrival: Arrival) -> None:
        """Publish; answers about a picture that came with its question go to the questioner alone."""
        if self._dialogue is not None:
            self._dialogue.note(result)
        if self._outputs is not None and arrival.camera in camera_names(self._config):
            self._outputs.on_result(result, arrival)
        self._requests.on_result(result, arrival)

    def on_frame(self, image_rgb_u8: NDArray[np.uint8], results: tuple[Result, ...], arrival: Arrival) -> None:
        """Draw, if anybody looks."""
        if self._outputs is not None and arrival.camera in camera_names(self._config):
            self._outputs.on_frame(image_rgb_u8, results, arrival)

    def _declare_parameters(self) -> None:
        described = ParameterDescriptor(description="preset in config/ (nano, base) or path of a YAML file")
        parameters.declare_one(self, "model", "nano", described)
        parameters.declare(self, NodeConfig, READ_ONLY)
        parameters.declare(self, RuntimeConfig)
        self._config = parameters.read(self, NodeConfig)
        own = {name for name in self._parameters if name != "use_sim_time"}
        self._fixed = frozenset(own - DYNAMIC)
        self.add_on_set_parameters_callback(self._judge_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)

    def _judge_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        fixed = self._fixed if self._worker is not None else frozenset[str]()
        return parameters.refuse_changes(self, changes, (NodeConfig, RuntimeConfig), fixed)

    def _apply_parameters(self, changes: Sequence[Parameter]) -> None:
        if not any(change.name in DYNAMIC for change in changes):
            return
        self._config = parameters.read(self, NodeConfig)
        if self._worker is not None:
            self._worker.book.config = self._config

    def _start(self) -> None:
        """Autostart: run once, by the executor, so that the node is reachable while it loads."""
        self.destroy_timer(self._starter)
        if self.trigger_configure() is SUCCESS:
            self.trigger_activate()

    def _active_worker(self) -> Worker | None:
        return self._worker if self._inputs is not None else None

    def _stop_serving(self, reason: str) -> None:
        if self._inputs is not None:
            self._inputs.destroy()
            self._inputs = None
        if self._worker is not None and not self._worker.stop(reason):
            self.get_logger().error("The model did not return within 10 s; its thread is left behind")

    def _release(self) -> None:
        if self._outputs is not None:
            self._outputs.destroy()
        self._outputs = self._worker = None

    def _report(self) -> None:
        try:
            label = "active" if self._inputs is not None else "inactive"
            dialogue = self._dialogue.state() if self._dialogue is not None else []
            self._diagnostics.publish(diagnostics(self, label, self._worker, dialogue))
        except rclpy_implementation.RCLError as error:
            self.get_logger().debug(f"Diagnostics could not be sent: {error}")

    def _note_unsent(self) -> None:
        if self._worker is not None:
            self._worker.statistics.drops[Drop.UNSENT] += 1

    def _stamp_now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds) * 1e-9

    def _now_s(self) -> float:
        """Time for scheduling: simulated if there is a simulation, else steady, as the wall clock may be set."""
        return self._stamp_now_s() if self.get_clock().ros_time_is_active else time.monotonic()

    def _before_jump(self) -> None:
        self._before_jump_s = self._now_s()

    def _after_jump(self, _: Any) -> None:
        if self._worker is not None:
            self._worker.shift_clock(self._now_s() - self._before_jump_s)


def _named(error: Exception) -> str:
    return str(error) if isinstance(error, VisionLLMError) else f"{type(error).__name__}: {error}"


def load_engine(preset: str, runtime: RuntimeConfig) -> Engine:
    """Load the model; imported late, as it brings torch."""
    from vision_llm_ros.runtime.engine import load_engine as load

    return load(preset, runtime)


def load_parser(engine: Engine) -> Parser:
    """The command parser with the text encoder's sense of similarity, and the engine's reader of other sentences."""
    from vision_llm_ros.language.parser import CommandParser
    from vision_llm_ros.model.text import load_text_similarity
    from vision_llm_ros.runtime.router import parser_for

    parser = CommandParser(load_text_similarity())
    parser.warm_up()
    return parser_for(engine, parser)


def main(argv: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    with ros(sys.argv if argv is None else ["perception", *argv]) as stop:
        try:
            node = PerceptionNode()
        except VisionLLMError as error:
            print(f"vision_llm_perception: {error}", file=sys.stderr)
            return 1
        try:
            spin(node, partial(stop.is_set))
        finally:
            node.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
