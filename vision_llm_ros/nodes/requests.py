"""The Ask service and the Perceive action: commands that wait for their own answers.

Both are coroutines on the node's only executor thread: the worker's thread drops results and say-backs
into a request's mailbox and wakes the executor, so that nothing blocks and nothing polls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

from vision_llm_ros.action import Perceive
from vision_llm_ros.config import NodeConfig
from vision_llm_ros.errors import CommandError, InputError
from vision_llm_ros.interfaces import COMPUTED, Command, CommandState, Mode, Result, Status
from vision_llm_ros.nodes import messages
from vision_llm_ros.nodes.inputs import arrival_of, camera_names, image_topic
from vision_llm_ros.runtime.scheduler import CommandEvent, refusal
from vision_llm_ros.runtime.worker import Arrival, Worker
from vision_llm_ros.srv import Ask

ENDED = tuple(state for state in CommandState if state is not CommandState.ACCEPTED)
KEEP_RESULTS_S = 60
TIMED_OUT = "timed out"
CANCELLED = "cancelled"
Item = CommandEvent | Result | str


@dataclass
class Request:
    """One caller's wait.

    Attributes:
        generation: of its command; 0 until that is accepted.
        limit: ends the command after so many answers; 0 for none.
        answers: frames answered so far.
        last: the newest answer with its frame's header.
        obstacle: why the newest frame could not be answered.
    """

    id: str
    wake: Callable[[], None]
    limit: int = 0
    generation: int = 0
    answers: int = 0
    last: tuple[Result, Any] | None = None
    obstacle: str = ""
    _items: deque[Item] = field(default_factory=deque)
    _future: Future | None = None

    def put(self, item: Item) -> None:
        """Called from any thread."""
        self._items.append(item)
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)
        self.wake()

    async def get(self) -> Item:
        """The next item; called from the executor's thread only."""
        while not self._items:
            self._future = Future()
            if self._items:
                break
            await self._future
        return self._items.popleft()


class Requests:
    """Serves `~/ask` and `~/perceive` for as long as the node lives.

    Args:
        worker: the active worker, or None while the node is not active.
    """

    def __init__(self, node: Node, worker: Callable[[], Worker | None], config: Callable[[], NodeConfig]) -> None:
        self._node = node
        self._worker = worker
        self._config = config
        self._requests: list[Request] = []
        self._by_goal: dict[bytes, Request] = {}
        self._made = 0
        # A pending coroutine holds its callback group; the other callbacks must go on meanwhile.
        self._group = ReentrantCallbackGroup()
        self._service = node.create_service(Ask, "~/ask", self._ask, callback_group=self._group)
        self._action = ActionServer(
            node,
            Perceive,
            "~/perceive",
            self._perceive,
            goal_callback=self._on_goal,
            cancel_callback=self._on_cancel,
            callback_group=self._group,
            result_timeout=KEEP_RESULTS_S,
        )

    def destroy(self) -> None:
        self._action.destroy()
        self._node.destroy_service(self._service)

    def on_event(self, event: CommandEvent) -> None:
        """Hand a say-back to whom it concerns; called by the worker."""
        for request in [entry for entry in self._requests if entry.id == event.command_id]:
            if request.generation == 0 and event.state is CommandState.ACCEPTED:
                request.generation = event.generation
            if request.generation == event.generation and event.state in ENDED:
                request.put(event)

    def on_result(self, result: Result, arrival: Arrival) -> None:
        """Hand a result to whom it concerns; called by the worker, which holds its lock meanwhile."""
        for request in [entry for entry in self._requests if entry.id == result.command_id]:
            if request.generation != result.generation:
                continue
            if result.perception.status in (Status.STALE, Status.REJECTED):
                request.obstacle = result.perception.text
                continue
            request.answers += 1
            request.last = (result, arrival.source)
            request.put(result)
            worker = self._worker()
            if request.answers == request.limit and worker is not None:
                text = f"gave {request.limit} answers"
                worker.end(request.id, request.generation, text, CommandState.FINISHED)

    def _open(self, kind: str, command_id: str = "", limit: int = 0) -> Request:
        self._made += 1
        executor = self._node.executor
        request = Request(command_id or f"{kind}{self._made}", executor.wake if executor else _nothing, limit)
        self._requests.append(request)
        return request

    async def _ask(self, asked: Ask.Request, answer: Ask.Response) -> Ask.Response:
        worker = self._worker()
        if worker is None:
            answer.message = "The node is not active; activate it and ask again"
            return answer
        if not 0 < asked.timeout_s < float("inf"):
            answer.message = f"timeout_s: expected more than 0, got {asked.timeout_s}"
            return answer
        request = self._open("ask")
        try:
            return await self._answered(worker, request, asked, answer)
        finally:
            self._requests.remove(request)

    async def _answered(
        self, worker: Worker, request: Request, asked: Ask.Request, answer: Ask.Response
    ) -> Ask.Response:
        # The timer below ends it; the longer life only covers for a clock that stands still.
        camera = request.id if asked.use_image else asked.camera or camera_names(self._config())[0]
        command = Command(
            asked.text, request.id, Mode.ONCE, camera=camera, time_to_live_s=float(asked.timeout_s) + 1.0, priority=10
        )
        arrival = arrival_of(asked.image, camera, self._config().max_pixels) if asked.use_image else None
        said = worker.submit(command, arrival)[-1]
        answer.understood = messages.status_message(said, self._node.get_clock().now().to_msg())
        if said.state is not CommandState.ACCEPTED:
            answer.success, answer.message = said.state is CommandState.FINISHED, said.text
            return answer
        outcome = await self._outcome(request, asked.timeout_s)
        if outcome == TIMED_OUT:
            worker.end(request.id, request.generation, f"no answer within {asked.timeout_s:g} s", CommandState.EXPIRED)
        self._fill(answer, request, outcome, camera)
        return answer

    async def _outcome(self, request: Request, timeout_s: float) -> CommandEvent | str:
        """Wait for the end of a command, at most `timeout_s` of the wall clock."""
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        timer = self._node.create_timer(timeout_s, lambda: request.put(TIMED_OUT), self._group, clock)
        try:
            while True:
                item = await request.get()
                if not isinstance(item, Result):
                    return item
        finally:
            self._node.destroy_timer(timer)

    def _fill(self, answer: Ask.Response, request: Request, outcome: CommandEvent | str, camera: str) -> None:
        if request.last is None:
            text = outcome if isinstance(outcome, str) else outcome.text
            topic = image_topic(self._node, camera, self._config().image_transport)
            why = request.obstacle or (f"no frame came on {topic}" if outcome == TIMED_OUT else text)
            answer.success, answer.message = False, f"No answer: {why}"
            return
        result, header = request.last
        answer.success, answer.message = result.perception.status in COMPUTED, result.perception.text
        setattr(answer, messages.TOPICS[result.perception.task], messages.result_message(result, header))

    def _on_goal(self, goal: Perceive.Goal) -> GoalResponse:
        return GoalResponse.REJECT if self._worker() is None else GoalResponse.ACCEPT

    def _on_cancel(self, goal_handle: Any) -> CancelResponse:
        request = self._by_goal.get(bytes(goal_handle.goal_id.uuid))
        if request is not None:
            request.put(CANCELLED)
        return CancelResponse.ACCEPT

    async def _perceive(self, goal_handle: Any) -> Perceive.Result:
        worker, goal, ended = self._worker(), goal_handle.request, Perceive.Result()
        if worker is None:
            goal_handle.abort()
            return ended
        request = self._open("perceive", goal.command.id, goal.max_results)
        self._by_goal[bytes(goal_handle.goal_id.uuid)] = request
        try:
            event = await self._followed(worker, request, goal_handle)
        finally:
            self._requests.remove(request)
            del self._by_goal[bytes(goal_handle.goal_id.uuid)]
        ended.outcome = messages.status_message(event, self._node.get_clock().now().to_msg())
        ended.results = request.answers
        if request.last is not None:
            result, header = request.last
            setattr(ended, messages.TOPICS[result.perception.task], messages.result_message(result, header))
        _finish(goal_handle, event, request.answers)
        return ended

    async def _followed(self, worker: Worker, request: Request, goal_handle: Any) -> CommandEvent:
        """Send feedback until the command has ended; a cancel ends it."""
        said = self._submitted(worker, request, goal_handle.request)
        if said.state is not CommandState.ACCEPTED:
            return said
        understood = messages.status_message(said, self._node.get_clock().now().to_msg())
        sent = 0
        while True:
            item = await request.get()
            if isinstance(item, CommandEvent):
                return item
            if isinstance(item, Result):
                sent += 1
                goal_handle.publish_feedback(_feedback(item, request, understood, sent))
            else:
                worker.end(request.id, request.generation, "cancelled by the caller")

    def _submitted(self, worker: Worker, request: Request, goal: Perceive.Goal) -> CommandEvent:
        try:
            command = replace(messages.to_command(goal.command), id=request.id)
        except InputError as error:
            event = refusal(Command(goal.command.text, request.id), CommandError(f"{error}; correct the goal"))
            worker.refuse(event)
            return event
        if goal.max_results > 1 and command.mode is None:
            command = replace(command, mode=Mode.CONTINUOUS)
        return worker.submit(command)[-1]


def _feedback(result: Result, request: Request, understood: Any, number: int) -> Perceive.Feedback:
    feedback = Perceive.Feedback(understood=understood, info=messages.info_message(result), results=number)
    if messages.TOPICS[result.perception.task] == "detections" and request.last is not None:
        feedback.detections = messages.detections_message(result, request.last[1])
    return feedback


def _finish(goal_handle: Any, event: CommandEvent, answers: int) -> None:
    """A command that gave what was asked succeeds; so does one that answered until its time was over."""
    if goal_handle.is_cancel_requested:
        goal_handle.canceled()
    elif event.state is CommandState.FINISHED or (event.state is CommandState.EXPIRED and answers):
        goal_handle.succeed()
    else:
        goal_handle.abort()


def _nothing() -> None:
    pass
