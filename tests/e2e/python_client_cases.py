"""Calls of the Python client; python_client_test.py runs them."""

import io
import os
import pathlib
import tempfile
import unittest

import longspan
from longspan.progress_line import ProgressLine
from longspan.token_file import read_token_file

TEXT = f"""name: client
resources: {{ranks: 1, threads: 1}}
train:
  model:
    hidden_size: 32
    layer_count: 2
    layer_pattern: L
    linear: {{mixer: simple_gla, heads: 2}}
    mlp: {{intermediate_size: 48}}
  data: {{uri: "{os.environ['LONGSPAN_CORPUS']}", end: 345741}}
  sequence_length: 64
  steps: STEPS
  report_interval: 2
  optimizer: {{learning_rate: 1e-2}}
  schedule: {{warmup_steps: 1}}
"""


def text(steps):
    return TEXT.replace("STEPS", str(steps))


class Cases(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = longspan.Client()
        cls.trained = cls.client.submit(text(20)).wait(60, progress=False)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def test_a_file_and_its_text_and_a_request_id(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "job.yaml"
            path.write_text(text(4), encoding="utf-8")
            job = self.client.submit(path, request_id="client-1")
        again = self.client.submit(text(4), request_id="client-1")
        self.assertEqual(again.name, job.name)
        with self.assertRaises(longspan.AlreadyExists):
            self.client.submit(text(6), request_id="client-1")
        job.wait(60, progress=False)
        self.assertIs(job.state, longspan.State.SUCCEEDED)
        self.assertEqual(int(job.result["train"]["steps"]), 4)
        self.assertEqual(job.spec["train"]["batch_size"], 1)
        self.assertEqual(len(job.attempts), 1)

    def test_mistakes_have_lines(self):
        with self.assertRaises(longspan.InvalidRequest) as raised:
            self.client.submit(text(4).replace("heads", "haeds"))
        self.assertIn("job.yaml:8", raised.exception.mistakes[0])
        with self.assertRaises(longspan.InvalidRequest):
            self.client.submit({"name": "empty"})
        with self.assertRaises(longspan.NotFound):
            self.client.submit("no-such-file.yaml")

    def test_a_plan(self):
        plan = self.client.plan(text(4))
        self.assertEqual(len(plan["ranks"]), 1)
        self.assertGreater(int(plan["ranks"][0]["memory"]["total"]), 0)

    def test_events_from_the_start_and_from_a_token(self):
        events = list(self.trained.events())
        states = [event.state for event in events if event.state]
        self.assertEqual(states[0], longspan.State.PENDING)
        self.assertEqual(states[-1], longspan.State.SUCCEEDED)
        later = list(self.trained.events(events[0].resume_token))
        self.assertEqual([event.state for event in later if event.state],
                         states[1:])

    def test_history_and_metrics(self):
        rows = self.trained.history()
        self.assertEqual([row.step for row in rows], list(range(2, 21, 2)))
        self.assertLess(rows[-1].loss, rows[0].loss)
        self.assertTrue(all(row.tokens_per_second > 0 for row in rows))
        frame = self.trained.metrics()
        self.assertEqual(list(frame.columns), [
            "loss", "gradient_norm", "learning_rate", "tokens_per_second"])
        self.assertEqual(frame.index.name, "step")
        self.assertEqual(frame.loc[20, "loss"], rows[-1].loss)

    def test_cancel_and_delete_and_progress(self):
        job = self.client.submit(text(10000000))
        with self.assertRaises(longspan.TimedOut):
            job.wait(0.2, progress=False)
        seen = []
        for event in job.events(timeout=60):
            seen.append(event)
            if event.progress and event.progress.done > 10:
                break
        self.assertGreater(seen[-1].progress.loss, 0)
        with self.assertRaises(longspan.NotPossible):
            job.delete()
        job.cancel("enough")
        with self.assertRaises(longspan.JobCancelled) as raised:
            job.wait(60, progress=False)
        self.assertIn("enough", str(raised.exception))
        with self.assertRaises(longspan.NotPossible):
            job.cancel()
        job.delete()
        with self.assertRaises(longspan.NotFound):
            job.refresh()

    def test_lists(self):
        names = [job.name for job in self.client.jobs(["SUCCEEDED"])]
        self.assertIn(self.trained.name, names)
        self.assertEqual(
            self.client.job(self.trained.name.split("/")[-1]).name,
            self.trained.name)
        self.assertEqual(len(self.client.workers()), 2)

    def test_generate(self):
        one = self.client.generate("The ", self.trained, 12, seed=1,
                                   log_probabilities=True)
        tokens = list(one)
        self.assertEqual(len(tokens), 12)
        self.assertLess(tokens[0].log_probability, 0)
        self.assertEqual(one.data, b"".join(t.text for t in tokens))
        self.assertEqual(one.finish_reason, "length")
        self.assertEqual(int(one.usage["prompt_tokens"]), 4)
        again = self.client.generate("The ", self.trained.name, 12, seed=1)
        self.assertEqual(again.all(), one.text)
        with self.assertRaises(longspan.Error):
            self.client.generate("caf\u00e9", "no-such-job", 4).all()

    def test_nobody_answers(self):
        with longspan.Client("127.0.0.1:1", timeout=2) as nowhere:
            with self.assertRaises((longspan.Unavailable, longspan.TimedOut)):
                nowhere.workers()

    def test_token_files_are_private_and_whole(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "token"
            for content, mode, words in (
                    (16 * "a", 0o644, "every user"), ("", 0o600, "of 0 char"),
                    (15 * "a", 0o600, "of 15 char"),
                    (16 * "a" + " b", 0o600, "not printable")):
                path.write_text(content, encoding="utf-8")
                path.chmod(mode)
                with self.assertRaisesRegex(longspan.Error, words):
                    read_token_file(str(path))
            path.write_text(16 * "a" + " \nrest\n", encoding="utf-8")
            self.assertEqual(read_token_file(str(path)), 16 * "a")
        with self.assertRaisesRegex(longspan.Error, "cannot be read"):
            read_token_file(str(path))

    def test_progress_lines_are_few_where_they_stay(self):
        out = io.StringIO()
        line = ProgressLine(self.trained.name, out)
        for event in self.trained.events():
            line.show(event)
        line.close()
        lines = out.getvalue().splitlines()
        self.assertIn("SUCCEEDED", lines[-1])
        self.assertNotIn("\r", out.getvalue())
        self.assertLess(len(lines), 10)


if __name__ == "__main__":
    unittest.main(verbosity=2)
