"""What `tracer run` and `tracer job batch-export` send, beside what the official `openai` and `anthropic` clients send for
the same question; and answers that the clients' own types write, as `tracer` reads them.

ctest gives the environment: $TRACER_TEST_BINARY, and a Python that has the clients (cmake/requirements.txt). Exit code 77
where it has not: skipped."""

import contextlib
import email.parser
import email.policy
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import typing
import unittest

try:
    import anthropic
    import numpy
    import openai
    import pydantic
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
    from anthropic.types.messages import MessageBatchIndividualResponse
    from anthropic.types.messages.batch_create_params import Request as AnthropicBatchRequest
    from openai.types.batch_create_params import BatchCreateParams
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
except ImportError as missing:
    print(f"skipped: {missing}: run cmake/bootstrap.sh")
    sys.exit(77)

from recorder import Recorder

KEY = "sk-test-0123456789"
MODEL = 'a "model"'
LABELS = ["bill", 'say "no"', "back\\slash", "café 😀", "two words"]
ROWS = 20
PROMPT = "Which of these is it?\n{labels}\n---\nText: {input}\n"
HOSTILE = ['"}],"model":"x" \\ \\u0000 {input} {labels}', "tab\there, line\nbreak\r", "café \u2028 😀 </s>", "\x01\x7f", " "]
CORRECTION = "That is not one of the labels. Answer with exactly one of these labels, and nothing else:\n"
HEADERS = ("authorization", "x-api-key", "anthropic-version", "content-type")
NO_LABEL = "I cannot say"


def text(row):
    return HOSTILE[row] if row < len(HOSTILE) else f"text number {row}"


def label_of(question):
    return LABELS[sum(question.encode()) % len(LABELS)]


def write_log(folder):
    """log: what a policy is fitted on. rows: its first ROWS; all are audited below, so that the LLM is asked about each."""
    draw = numpy.random.default_rng(1)
    label = draw.integers(0, len(LABELS), 400)
    x = draw.standard_normal((400, 16)).astype(numpy.float32) / 2
    x[numpy.arange(400), label] += 3
    for name, rows in (("log", 400), ("rows", ROWS)):
        numpy.save(folder / f"{name}.npy", x[:rows])
        with open(folder / f"{name}.jsonl", "w") as out:
            for row in range(rows):
                out.write(json.dumps({"id": f"r{row}", "input": text(row), "teacher": LABELS[label[row]]}) + "\n")


def chat_completion(content, prompt_tokens=11, completion_tokens=3):
    return openai.types.chat.ChatCompletion.model_validate({
        "id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "system_fingerprint": "f", "service_tier": "default",
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None,
                     "message": {"role": "assistant", "content": content, "refusal": None}}],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
                  "total_tokens": prompt_tokens + completion_tokens,
                  "prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 1}}})


def message(part, input_tokens=11, output_tokens=3):
    return anthropic.types.Message.model_validate({
        "id": "m", "type": "message", "role": "assistant", "model": MODEL, "content": [part], "stop_reason": "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens}})


def users_turns(body):
    return [turn["content"] for turn in body["messages"] if turn["role"] == "user"]


def plain(body):
    """Without the titles that pydantic gives to fields and models, and what is the same where it is absent."""
    def untitled(part):
        if isinstance(part, dict):
            return {key: untitled(value) for key, value in part.items() if key != "title"}
        return [untitled(value) for value in part] if isinstance(part, list) else part
    return {key: value for key, value in untitled(body).items() if (key, value) != ("stream", False)}


adapter = functools.cache(pydantic.TypeAdapter)


def check_type(kind, value):
    """Raises where `value` is no `kind` of the official client's, or has a field that `kind` does not know."""
    def walk(part):  # pydantic looks at the elements of an Iterable as they are taken
        if isinstance(part, dict):
            for inner in part.values():
                walk(inner)
        elif not isinstance(part, (str, bytes)) and hasattr(part, "__iter__"):
            for inner in part:
                walk(inner)
    walk(adapter(kind).validate_python(value, extra="forbid"))


class OpenAi:
    name = "openai"
    path = "/v1/chat/completions"

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/v1"
        self.client = openai.OpenAI(base_url=self.url, api_key=KEY, max_retries=0)

    @staticmethod
    def answer(label, structured):
        return chat_completion(json.dumps({"label": label}) if structured else f"{label}\n")

    @staticmethod
    def said(label, structured):
        return json.dumps({"label": label}) if structured else f"{label}\n"

    @staticmethod
    def check(body):
        check_type(CompletionCreateParamsNonStreaming, body)

    def ask(self, system, turns, labels, structured, temperature=0, max_tokens="max_tokens"):
        more = {"temperature": temperature} if temperature is not None else {}
        more[max_tokens] = 64
        messages = [{"role": "system", "content": system}, *turns]
        if structured:  # the client makes the schema
            shape = pydantic.create_model("classification", label=(typing.Literal[tuple(labels)], ...))
            with contextlib.suppress(pydantic.ValidationError):  # of an answer that is no label, once the request is sent
                self.client.chat.completions.parse(model=MODEL, messages=messages, response_format=shape, **more)
        else:
            self.client.chat.completions.create(model=MODEL, messages=messages, **more)


class Anthropic:
    name = "anthropic"
    path = "/v1/messages"

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.client = anthropic.Anthropic(base_url=self.url, api_key=KEY, max_retries=0)

    @staticmethod
    def answer(label, structured):
        if structured:
            return message({"type": "tool_use", "id": "t", "name": "classify", "input": {"label": label}})
        return message({"type": "text", "text": label})

    @staticmethod
    def said(label, structured):
        return json.dumps({"label": label}, separators=(",", ":"), ensure_ascii=False) if structured else label

    @staticmethod
    def check(body):
        # The API's version 2023-06-01 has `temperature`; the types of the clients from 1.0 on have not.
        check_type(MessageCreateParamsNonStreaming, {key: value for key, value in body.items() if key != "temperature"})

    def ask(self, system, turns, labels, structured, temperature=0):
        more = {"extra_body": {"temperature": temperature}} if temperature is not None else {}
        if structured:
            def classify(label: str) -> str:
                return label
            classify.__annotations__["label"] = typing.Literal[tuple(labels)]
            tool = anthropic.beta_tool(classify, name="classify", description="Gives the label of the text.").to_dict()
            more["tools"] = [tool]
            more["tool_choice"] = {"type": "tool", "name": "classify"}
        self.client.messages.create(model=MODEL, system=system, messages=turns, max_tokens=64, **more)


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        write_log(cls.folder)
        (cls.folder / "prompt.txt").write_text(PROMPT)
        cls.tracer("fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet")

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    @classmethod
    def tracer(cls, *arguments, code=0):
        environment = {**os.environ, "OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "no_proxy": "*"}
        done = subprocess.run([os.environ["TRACER_TEST_BINARY"], *arguments], cwd=cls.folder, env=environment,
                              capture_output=True, text=True)
        if done.returncode != code:
            raise AssertionError(f"tracer {arguments}: {done.returncode}\n{done.stderr}")
        return done.stdout

    def run_job(self, api, *more, code=0):
        self.tracer("run", "p", "rows.jsonl", "-o", self.out, "--llm-api", api.name, "--llm-model", MODEL, "--audit-rate", "1",
                    "--prompt", "prompt.txt", *more, code=code)

    def setUp(self):
        self.refused = lambda body: None  # (body) -> a parameter that the server does not take
        self.recorder = Recorder(lambda request: self.answer(request))
        self.addCleanup(self.recorder.close)
        self.out = self._testMethodName + ".jsonl"


class OfficialClients(Clients):
    def answer(self, request):
        body = request.body
        parameter = self.refused(body)
        if parameter:
            return 400, json.dumps({"error": {"message": f"Unsupported parameter: '{parameter}'", "type": "invalid_request_error",
                                              "param": parameter, "code": "unsupported_parameter"}})
        turns = users_turns(body)
        api = OpenAi if request.path == OpenAi.path else Anthropic
        # Each text whose number ends in 7 gets a first answer that is no label.
        wrong = len(turns) == 1 and turns[0].endswith("7")
        structured = "response_format" in body or "tools" in body
        return 200, api.answer(NO_LABEL if wrong else label_of(turns[0]), structured).model_dump_json()

    def expected_turns(self, api, question, corrected, structured):
        turns = [{"role": "user", "content": question}]
        if corrected:
            turns += [{"role": "assistant", "content": api.said(NO_LABEL, structured)},
                      {"role": "user", "content": CORRECTION + "\n".join(self.labels)}]
        return turns

    def assert_same(self, api, ours, theirs):
        self.assertEqual((ours.method, ours.path), (theirs.method, theirs.path))
        self.assertEqual({name: ours.headers.get(name) for name in HEADERS}, {name: theirs.headers.get(name) for name in HEADERS})
        self.assertEqual(ours.body, plain(theirs.body))
        api.check(ours.body)

    def system_part(self, body):
        """What stands above the input in the prompt; the labels come in the policy's order."""
        system = body["system"] if "system" in body else body["messages"][0]["content"]
        first, *self.labels = system.split("\n")
        self.assertEqual((first, sorted(self.labels)), ("Which of these is it?", sorted(LABELS)))
        return system

    def compare(self, api, structured, ours, **parameters):
        """Each request that `tracer` sent, against the one that the client sends for the same row."""
        system = self.system_part(ours[0].body)
        by_question = {}
        for request in ours:
            turns = users_turns(request.body)
            by_question[turns[0], len(turns) > 1] = request
        self.assertEqual(len(by_question), len(ours), "a question was sent twice")
        questions = [f"Text: {text(row)}" for row in range(ROWS)]
        wanted = {(q, False) for q in questions} | {(q, True) for q in questions if q.endswith("7")}
        self.assertEqual(set(by_question), wanted)
        for question, corrected in sorted(wanted):
            api.ask(system, self.expected_turns(api, question, corrected, structured), self.labels, structured, **parameters)
            (theirs,) = self.recorder.take()
            self.assert_same(api, by_question[question, corrected], theirs)

    def check_run(self, kind, structured):
        api = kind(self.recorder.port)
        self.run_job(api, "--llm-url", api.url, "--structured", "auto" if structured else "off")
        self.compare(api, structured, self.recorder.take())
        lines = [json.loads(line) for line in (self.folder / self.out).read_text().strip().split("\n")]
        self.assertEqual([line["id"] for line in lines], [f"r{row}" for row in range(ROWS)])
        for row, line in enumerate(lines):
            question = f"Text: {text(row)}"
            asked = 2 if question.endswith("7") else 1
            self.assertEqual((line["label"], line["source"]), (label_of(question), "llm"))
            self.assertEqual(line["usage"], {"prompt_tokens": 11 * asked, "completion_tokens": 3 * asked})

    def test_openai_structured(self):
        self.check_run(OpenAi, True)

    def test_openai_in_words(self):
        self.check_run(OpenAi, False)

    def test_anthropic_structured(self):
        self.check_run(Anthropic, True)

    def test_anthropic_in_words(self):
        self.check_run(Anthropic, False)

    def check_refused(self, kind, parameters, structured=True, **as_asked):
        """A server that refuses `parameters` is asked without them, one at a time, as the client asks without them."""
        api = kind(self.recorder.port)
        self.refused = lambda body: next((name for name in parameters if name in body), None)
        self.run_job(api, "--llm-url", api.url, "--concurrency", "1")
        taken = [r for r in self.recorder.take() if not self.refused(r.body)]
        self.compare(api, structured, taken, **as_asked)

    def test_openai_newer_models(self):
        self.check_refused(OpenAi, ["max_tokens", "temperature"], temperature=None, max_tokens="max_completion_tokens")

    def test_openai_without_schemas(self):
        self.check_refused(OpenAi, ["response_format"], structured=False)

    def test_anthropic_newer_models(self):
        self.check_refused(Anthropic, ["temperature"], temperature=None)

    def export(self, api):
        self.run_job(api, "--hold", code=4)  # 4: rows wait
        self.tracer("job", "batch-export", self.out, "-o", f"{self.out}.batch")
        return [json.loads(line) for line in (self.folder / f"{self.out}.batch").read_text().strip().split("\n")]

    def compare_batch(self, api, bodies):
        system = self.system_part(bodies[0])
        self.assertEqual([users_turns(body) for body in bodies], [[f"Text: {text(row)}"] for row in range(ROWS)])
        for body in bodies:
            api.ask(system, self.expected_turns(api, users_turns(body)[0], False, True), self.labels, True)
            (theirs,) = self.recorder.take()
            self.assertEqual(body, plain(theirs.body))
            api.check(body)

    def test_openai_batch_lines(self):
        api = OpenAi(self.recorder.port)
        lines = self.export(api)
        self.assertEqual(len({line["custom_id"] for line in lines}), ROWS)
        for line in lines:
            self.assertEqual(set(line), {"custom_id", "method", "url", "body"})
            self.assertEqual((line["method"], line["url"]), ("POST", "/v1/chat/completions"))
            check_type(BatchCreateParams, {"completion_window": "24h", "input_file_id": "f", "endpoint": line["url"]})
        self.compare_batch(api, [line["body"] for line in lines])

    def test_anthropic_batch_lines(self):
        api = Anthropic(self.recorder.port)
        lines = self.export(api)
        self.assertEqual(len({line["custom_id"] for line in lines}), ROWS)
        for line in lines:
            params = {key: value for key, value in line["params"].items() if key != "temperature"}
            check_type(AnthropicBatchRequest, {**line, "params": params})
        self.compare_batch(api, [line["params"] for line in lines])

    def test_anthropic_batch_results(self):
        """Results as the client's own type writes them."""
        api = Anthropic(self.recorder.port)
        lines = self.export(api)
        with open(self.folder / "results.jsonl", "w") as out:
            for row, line in reversed(list(enumerate(lines))):  # they come in any order
                if row == 3:
                    result = {"type": "expired"}
                elif row == 4:
                    result = {"type": "errored", "error": {"type": "error", "request_id": None, "error": {
                        "type": "invalid_request_error", "message": "too long"}}}
                else:
                    said = api.answer(label_of(users_turns(line["params"])[0]), True)
                    result = {"type": "succeeded", "message": said.model_dump()}
                whole = MessageBatchIndividualResponse.model_validate({"custom_id": line["custom_id"], "result": result})
                out.write(whole.model_dump_json() + "\n")
        taken = json.loads(self.tracer("job", "batch-import", self.out, "results.jsonl", "--json"))
        self.assertEqual((taken["answered"], taken["failed"], taken["again"]), (ROWS - 2, 1, 1))
        self.run_job(api, "--hold", "--resume", code=4)
        answers = [json.loads(line) for line in (self.folder / self.out).read_text().strip().split("\n")]
        for row, answer in enumerate(answers):
            if row in (3, 4):  # left to the surrogate, as these rows are only audited
                self.assertNotEqual(answer["source"], "llm")
                self.assertIn("not asked yet" if row == 3 else "too long", answer["error"])
            else:
                self.assertEqual((answer["source"], answer["label"]), ("llm", label_of(f"Text: {text(row)}")))


class BatchServer:
    """A batch API whose answers the official clients' own types write."""

    def __init__(self, kind):
        self.kind, self.files, self.requests = kind, {}, []

    def answer(self, request):
        route = {("POST", "/v1/files"): self.upload, ("POST", "/v1/batches"): self.create_openai,
                 ("GET", "/v1/batches/batch_1"): self.openai_batch, ("GET", "/v1/files/file-out/content"): self.results,
                 ("GET", "/v1/batches?limit=100"): self.openai_list, ("POST", "/v1/batches/batch_1/cancel"): self.openai_batch,
                 ("POST", "/v1/messages/batches"): self.create_anthropic,
                 ("GET", "/v1/messages/batches/msgbatch_1"): self.anthropic_batch,
                 ("GET", "/v1/messages/batches?limit=100"): self.anthropic_list,
                 ("POST", "/v1/messages/batches/msgbatch_1/cancel"): self.anthropic_batch,
                 ("GET", "/v1/messages/batches/msgbatch_1/results"): self.results}.get((request.method, request.path))
        if route is None:
            return 404, json.dumps({"error": {"message": f"no {request.method} {request.path}", "type": "not_found_error"}})
        return 200, route(request)

    def upload(self, request):
        self.files["file-in"] = form_of(request)["file"].get_payload(decode=True).decode()
        return openai.types.FileObject(id="file-in", bytes=1, created_at=1, filename="f", object="file", purpose="batch",
                                       status="processed").model_dump_json()

    def create_openai(self, request):
        self.requests = [json.loads(line) for line in self.files[request.body["input_file_id"]].strip().split("\n")]
        self.metadata = request.body["metadata"]
        return self.batch("validating").model_dump_json()

    def batch(self, status):
        return openai.types.Batch(id="batch_1", completion_window="24h", created_at=1, endpoint="/v1/chat/completions",
                                  input_file_id="file-in", object="batch", status=status, metadata=self.metadata,
                                  output_file_id="file-out" if status == "completed" else None)

    def openai_batch(self, _):
        return self.batch("completed").model_dump_json()

    def openai_list(self, _):
        return json.dumps({"object": "list", "data": [json.loads(self.openai_batch(None))], "has_more": False})

    def create_anthropic(self, request):
        self.requests = request.body["requests"]
        return self.message_batch("in_progress").model_dump_json()

    def message_batch(self, status):
        n, ended = len(self.requests), status == "ended"
        return anthropic.types.messages.MessageBatch.model_validate({
            "id": "msgbatch_1", "type": "message_batch", "processing_status": status, "created_at": "2024-09-24T18:37:24.100435Z",
            "expires_at": "2024-09-25T18:37:24.100435Z", "archived_at": None, "cancel_initiated_at": None, "ended_at": None,
            "results_url": f"http://127.0.0.1:{self.port}/v1/messages/batches/msgbatch_1/results" if ended else None,
            "request_counts": {"processing": 0 if ended else n, "succeeded": n if ended else 0, "errored": 0, "canceled": 0,
                               "expired": 0}})

    def anthropic_batch(self, _):
        return self.message_batch("ended").model_dump_json()

    def anthropic_list(self, _):
        return json.dumps({"data": [json.loads(self.anthropic_batch(None))], "has_more": False, "first_id": "msgbatch_1",
                           "last_id": "msgbatch_1"})

    def results(self, _):
        lines = []
        for request in reversed(self.requests):
            body = request.get("body") or request["params"]
            said = self.kind.answer(label_of(users_turns(body)[0]), True).model_dump()
            result = {"response": {"status_code": 200, "request_id": "r", "body": said}, "error": None} \
                if "body" in request else {"result": {"type": "succeeded", "message": said}}
            lines.append(json.dumps({"custom_id": request["custom_id"], **result}) + "\n")
        return "".join(lines)


def form_of(request):
    """The parts of a multipart/form-data body by name."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parts = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body).iter_parts()
    return {part.get_param("name", header="content-disposition"): part for part in parts}


class OfficialBatchClients(Clients):
    """`tracer run --batch` and `job cancel`, call by call, beside the clients' own calls."""

    def sent_by_tracer(self, kind):
        self.server = BatchServer(kind)
        self.server.port = self.recorder.port
        self.answer = self.server.answer
        api = kind(self.recorder.port)
        self.run_job(api, "--llm-url", api.url, "--batch", "--poll-seconds", "0.01", "--give-up-seconds", "5")
        lines = [json.loads(line) for line in (self.folder / self.out).read_text().strip().split("\n")]
        self.assertEqual([(line["label"], line["source"]) for line in lines],
                         [(label_of(f"Text: {text(row)}"), "llm") for row in range(ROWS)])
        return api, self.recorder.take()

    def assert_same_call(self, ours, theirs):
        self.assertEqual((ours.method, ours.path.split("?")[0]), (theirs.method, theirs.path.split("?")[0]))
        for name in ("authorization", "x-api-key", "anthropic-version"):
            self.assertEqual(ours.headers.get(name), theirs.headers.get(name), name)
        if ours.headers.get("content-type", "").startswith("multipart/form-data"):
            mine, other = form_of(ours), form_of(theirs)
            self.assertEqual({name: part.get_payload(decode=True) for name, part in mine.items()},
                             {name: part.get_payload(decode=True) for name, part in other.items()})
            self.assertEqual(mine["file"].get_filename(), other["file"].get_filename())
        elif ours.method == "POST":
            self.assertEqual(ours.headers.get("content-type"), theirs.headers.get("content-type"))
            self.assertEqual(ours.body or None, plain(theirs.body) or None if isinstance(theirs.body, dict) else theirs.body or None)

    def compare_calls(self, ours, calls):
        self.assertEqual(len(ours), len(calls), [(r.method, r.path) for r in ours])
        for mine, call in zip(ours, calls):
            call(mine)
            theirs = self.recorder.take()
            self.assert_same_call(mine, theirs[-1])

    def test_openai_batches(self):
        api, ours = self.sent_by_tracer(OpenAi)
        client = api.client

        def upload(mine):
            file = form_of(mine)["file"]
            client.files.create(purpose="batch", file=(file.get_filename(), file.get_payload(decode=True), "application/jsonl"))

        self.compare_calls(ours, [
            upload,
            lambda mine: client.batches.create(completion_window="24h", endpoint="/v1/chat/completions", input_file_id="file-in",
                                               metadata=mine.body["metadata"]),
            lambda _: client.batches.retrieve("batch_1"),
            lambda _: client.files.content("file-out")])
        self.assertEqual(client.batches.list(limit=100).data[0].id, "batch_1")
        check_type(BatchCreateParams, ours[1].body)

    def test_anthropic_batches(self):
        api, ours = self.sent_by_tracer(Anthropic)
        client = api.client
        self.compare_calls(ours, [
            lambda mine: client.messages.batches.create(requests=mine.body["requests"]),
            lambda _: client.messages.batches.retrieve("msgbatch_1"),
            lambda _: list(client.messages.batches.results("msgbatch_1"))])
        self.assertEqual(client.messages.batches.list(limit=100).data[0].id, "msgbatch_1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
