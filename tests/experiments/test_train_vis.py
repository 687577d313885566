import io
import json
import os
import random
import signal
import time

import pytest
import torch
import yaml

pytest.importorskip("lightning")
pytest.importorskip("supervision")
from experiments.train_vis import differences, main
from tests.cases import names_in
from tests.training.datasets import write_datasets
from tests.training.training_runs import CONFIGS, SCENES, SMALL, finish, free_port, start, weights
from tltm_graph import MovingShapes, Tracker
from tltm_graph.association import LearnedAffinity
from tltm_graph.formats import YOUTUBE_VIS_2019
from tltm_graph.models import load_model, save_model, tltm_tiny

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not any(path.parent.glob(path.name)):
        assert time.monotonic() < end, f"no '{path}' after {seconds} s"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert finish(start(output, steps="16", checkpoint_every="4")) == 0, (output.parent / "undisturbed.log").read_text()
    return output


@pytest.mark.slow
def test_files_of_a_run(undisturbed):
    results = json.loads((undisturbed / "results.json").read_text())
    assert results["steps"] == 16
    assert set(results["files"]) <= {path.name for path in undisturbed.iterdir()}
    assert all(torch.isfinite(torch.tensor(loss)) for loss in results["losses"].values())
    kept = names_in(undisturbed / "checkpoints")
    assert kept == ["step_00000008.ckpt", "step_00000012.ckpt", "step_00000016.ckpt"]
    model, average = (load_model(undisturbed / f"{name}.safetensors") for name in ("model", "model_ema"))
    assert model.is_trained
    assert average.is_trained
    assert model.class_names[0] == "disc"
    assert model.detector.min_size == 192
    assert any(not a.equal(b) for a, b in zip(model.parameters(), average.parameters(), strict=True))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(undisturbed / "logs")).Reload()
    tags = log.Tags()["scalars"]
    assert {"loss/fcos_cls", "loss/mask", "loss/gnn_edge", "loss/total", "learning_rate", "gradient_norm"} <= set(tags)
    assert len(log.Scalars("loss/total")) == 16


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_weights(undisturbed, tmp_path):
    moments = random.Random(0)
    output = tmp_path / "killed"
    for kill in range(2):
        process = start(output, "--resume", steps="16", checkpoint_every="4")
        wait_for(output / "checkpoints" / f"step_{4 + 4 * kill:08d}.ckpt")
        time.sleep(moments.uniform(0, 0.5))
        os.kill(process.pid, signal.SIGKILL)
        assert finish(process) in (-signal.SIGKILL, 0)
    assert finish(start(output, "--resume", steps="16", checkpoint_every="4")) == 0
    first, second = weights(undisturbed), weights(output)
    assert first.keys() == second.keys()
    assert not [name for name in first if not first[name].equal(second[name])]
    assert "resuming from" in (tmp_path / "killed.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_saves_and_prints_how_to_resume(number, undisturbed, tmp_path):
    output = tmp_path / "stopped"
    process = start(output, steps="16", checkpoint_every="4", data__num_workers="1")
    wait_for(output / "checkpoints" / "step_00000004.ckpt")
    os.killpg(process.pid, number)  # as the terminal does: the process that reads ahead gets it too
    assert finish(process) == 128 + number
    log = (tmp_path / "stopped.log").read_text()
    assert f"to resume: --config {output}/config.yaml --resume" in log
    assert not (output / "results.json").exists()
    if number == signal.SIGTERM:  # as the message says
        assert main(["--config", str(output / "config.yaml"), "--resume"]) == 0
        first, second = weights(undisturbed), weights(output)
        assert not [name for name in first if not first[name].equal(second[name])]


@pytest.mark.slow
def test_a_signal_during_a_print(tmp_path, monkeypatch, capfd):
    """Python refuses a print within a print, as when the signal comes while the bar is drawn."""

    class Interrupted(io.StringIO):
        printing, came = False, False

        def write(self, text):
            if self.printing:
                raise RuntimeError("reentrant call inside")
            self.printing = True
            if "1/16" in text and not self.came:
                self.came = True
                signal.raise_signal(signal.SIGINT)
            self.printing = False
            return super().write(text)

    stream = Interrupted()
    monkeypatch.setattr("sys.stderr", stream)
    options = SMALL | {"output": str(tmp_path / "run"), "steps": "16"}
    assert main([part for name, value in options.items() for part in (f"--{name}", value)]) == 128 + signal.SIGINT
    assert stream.came
    assert "SIGINT: finishing this step" in capfd.readouterr().err


@pytest.mark.slow
def test_two_processes_end_with_the_same_weights(tmp_path):
    output, port = tmp_path / "two", free_port()
    both = [
        start(
            output,
            rank=rank,
            world_size=2,
            port=port,
            devices="2",
            steps="4",
            data__batch_size="2",
            checkpoint_every="2",
        )
        for rank in range(2)
    ]
    assert [finish(process, 60) for process in both] == [0, 0], (tmp_path / "two.0.log").read_text()
    results = json.loads((output / "results.json").read_text())
    assert all(torch.isfinite(torch.tensor(loss)) for loss in results["losses"].values())
    logs = [(tmp_path / f"two.{rank}.log").read_text() for rank in range(2)]
    assert "weights to train" in logs[0]
    assert "weights to train" not in logs[1], "only the first process prints"
    first, second = (torch.load(tmp_path / f"two.{rank}.log.weights") for rank in range(2))
    assert first.keys() == second.keys()
    assert not [name for name in first if not first[name].equal(second[name])]
    exported = load_model(output / "model.safetensors").state_dict()
    assert all(first[f"model.{name}"].equal(value) for name, value in exported.items())


def run(tmp_path, capsys, *flags, **changes):
    options = SMALL | {"output": str(tmp_path / "run"), "steps": "2"} | changes
    status = main([*(part for name, value in options.items() for part in (f"--{name}", value)), *flags])
    return status, "".join(capsys.readouterr())


@pytest.mark.slow
def test_validation_and_pictures(tmp_path, capsys):
    scenes = SCENES.replace("num_frames: 8", "num_frames: 4")
    validation = (
        "{class_path: tltm_graph.training.TrackingValidation, init_args: {videos: " + scenes + ", max_videos: 2}}"
    )
    status, said = run(tmp_path, capsys, validation=validation, validate_every="1")
    assert status == 0, said
    output = tmp_path / "run"
    scores = json.loads((output / "results.json").read_text())["scores"]
    assert {"AP", "HOTA", "IDF1"} <= scores.keys()
    assert len(names_in(output / "pictures")) == 2
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(output / "logs")).Reload()
    assert [event.step for event in log.Scalars("validation/HOTA")] == [1, 2]
    assert set(log.Tags()["images"]) == {
        "association graph",
        "truth above, predictions below/scene 0",
        "truth above, predictions below/scene 1",
    }


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, capsys):
    status, said = run(tmp_path, capsys, **{"steps": "8", "checkpoint_every": "1", "module.optimizer.lr": "1e30"})
    assert status == 1
    assert "error: Expected finite losses and gradients, got in step" in said
    assert "fcos_cls" in said
    step = int(said.partition("got in step ")[2].partition(":")[0])
    state = tmp_path / "run" / f"diverged_after_step_{step - 1:08d}.ckpt"
    assert state.is_file()
    assert f"The state before that step is in '{state}'" in said
    assert f"The last checkpoint is '{tmp_path / 'run/checkpoints'}/step_{step - 1:08d}.ckpt'" in said
    kept = torch.load(state, weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in kept.values()), "the weights are those before the step"


@pytest.mark.slow
def test_a_run_is_not_overwritten_and_changes_are_printed(tmp_path, capsys):
    assert run(tmp_path, capsys)[0] == 0
    status, said = run(tmp_path, capsys)
    assert status == 1
    assert "with 2 steps done: --resume" in said
    status, said = run(tmp_path, capsys, "--resume", **{"steps": "3", "module.optimizer.lr": "0.01"})
    assert status == 0, said
    assert "changed: steps: 2 -> 3" in said
    assert "changed: module.init_args.optimizer.init_args.lr: 0.001 -> 0.01" in said
    assert "resume" not in said.partition("changed:")[2].partition("training:")[0]
    checkpoint = torch.load(tmp_path / "run/checkpoints/step_00000003.ckpt", weights_only=True)
    lr = checkpoint["optimizer_states"][0]["param_groups"][0]["lr"]
    assert lr == pytest.approx(0.01 * (0.001 + 0.999 * 2 / 300)), "the new value counts"
    status, said = run(tmp_path, capsys, "--resume", steps="1")
    assert status == 1
    assert "Expected at least the 3 steps of" in said


@pytest.mark.slow
def test_a_run_without_results(tmp_path, capsys):
    """Killed after the last checkpoint, before the files of the end."""
    assert run(tmp_path, capsys)[0] == 0
    before = weights(tmp_path / "run")
    for name in ("results.json", "model.safetensors", "model_ema.safetensors"):
        (tmp_path / "run" / name).unlink()
    assert run(tmp_path, capsys, "--resume")[0] == 0
    after = weights(tmp_path / "run")
    assert all(before[name].equal(after[name]) for name in before)
    assert (tmp_path / "run/results.json").is_file()


@pytest.mark.slow
def test_half_precision(tmp_path, capsys):
    status, said = run(tmp_path, capsys, steps="1", precision="bf16-mixed")
    assert status == 0, said


@pytest.mark.slow
def test_errors_come_before_training(tmp_path, capsys):
    status, said = run(tmp_path, capsys, **{"module.model.class_names": "[cat, dog]"})
    assert status == 1
    assert "Expected a model of the classes of the rendered scenes" in said
    status, said = run(tmp_path, capsys, **{"data.sources": "[]"})
    assert status == 1
    assert "Expected at least one source of pairs, got none" in said
    assert not (tmp_path / "run").exists()


SMALL_IMAGES = (
    "[{class_path: tltm_graph.frame_pairs.ResizePair, init_args: {min_sizes: [48, 64], max_size: 128}}, "
    "tltm_graph.frame_pairs.FlipPair]"
)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets")
    write_datasets(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes", "told"),
    [
        ("ytvis19_pretrain_r50", None, "train.json: 1 videos, 4 pairs\n"),
        ("ytvis19_pretrain_r101", None, "40 classes"),
        ("ytvis19_r50", YOUTUBE_VIS_2019, "train.json: 1 videos, 4 pairs, × 8"),
        ("ytvis19_r101", YOUTUBE_VIS_2019, "instances_youtube_vis.json: 3 images, 3 pairs"),
        ("finetune_own_data", ("dog", "owl"), "classes: 1 copied by name (dog), 1 random (cat)"),
    ],
)
def test_every_configuration_trains(name, classes, told, datasets, tmp_path, monkeypatch, capsys):
    """With the tiny model in place of the large ones, on small images; the data are where the configuration says."""
    monkeypatch.chdir(datasets)
    start = tmp_path / "start.safetensors"
    if classes is not None:
        save_model(tltm_tiny(classes), start)
    options = {
        "config": str(CONFIGS / f"{name}.yaml"),
        "module.model": "tltm_graph.models.tltm_tiny",
        "start_from": "null" if classes is None else str(start),
        "output": str(tmp_path / "run"),
        "steps": "2",
        "data.transforms": SMALL_IMAGES,
        "data.batch_size": "2",
        "data.num_workers": "0",
        "validation.max_videos": "1",
        "validation.max_frames": "2",
    }
    assert main([part for option, value in options.items() for part in (f"--{option}", value)]) == 0
    assert told in capsys.readouterr().out
    model = load_model(tmp_path / "run" / "model_ema.safetensors")
    assert bool(model.is_trained) == ("pretrain" not in name)
    assert json.loads((tmp_path / "run" / "results.json").read_text())["scores"].keys() >= {"AP", "HOTA"}


@pytest.mark.slow
def test_a_relation_and_an_association_of_its_own(tmp_path):
    """The short runs that follow when a detector is finished, one after the other."""
    start = tmp_path / "start.safetensors"
    model = tltm_tiny(MovingShapes.class_names, min_size=64, max_size=96)
    torch.nn.init.constant_(model.detector.head.cls_logits.bias, 0.5)  # so that it detects something
    save_model(model, start)
    small = {"num_scenes": "2", "num_frames": "4", "size": "[64, 96]"}

    def train(name, **options):
        given = {"config": str(CONFIGS / f"{name}.yaml"), "output": str(tmp_path / name), "steps": "2", **options}
        given |= {"data.batch_size": "2", "data.num_workers": "0"}
        assert main([part for option, value in given.items() for part in (f"--{option}", value)]) == 0
        return tmp_path / name / "model_ema.safetensors"

    videos = {f"data.videos.{name}": value for name, value in small.items()}
    weights = train("tiny_relation", start_from=str(start), **{"data.detector": str(start)}, **videos)
    before, after = load_model(start).state_dict(), load_model(weights).state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"relation"}

    few = {"num_scenes": 2, "num_frames": 4, "size": [64, 96]}
    rendered = {"class_path": "tltm_graph.training.RenderedVideos", "init_args": few}
    found = {"videos": rendered, "weights": str(weights), "first": 1}
    source = json.dumps({"class_path": "tltm_graph.training.ModelDetections", "init_args": found})
    head = train("tiny_association", **{"data.sources": f"[{source}]", "module.held_out": source})
    model = load_model(weights)
    model.association = LearnedAffinity.from_file(head)
    save_model(model, tmp_path / "whole.safetensors")
    whole = load_model(tmp_path / "whole.safetensors")
    tracker = Tracker(whole)
    assert tracker.affinity.head is whole.association.head
    for _, objects in tracker.track(MovingShapes(num_frames=2, size=(64, 96), num_objects=2)):
        assert len(objects)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_is_valid_as_it_stands(path, capsys):
    """Down to the last option of the last part: jsonargparse knows them all."""
    with pytest.raises(SystemExit) as info:
        main(["--config", str(path), "--print_config"])
    assert info.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["output"] == f"out/train/{path.stem.removeprefix('finetune_')}"


def test_unknown_options_are_errors(tmp_path, capsys):
    for option in ("sdeed", "module.optimizer.learning_rate", "data.batchsize"):
        with pytest.raises(SystemExit):
            run(tmp_path, capsys, **{option: "3"})
        assert option.rpartition(".")[2] in capsys.readouterr().err
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((CONFIGS / "tiny_moving_shapes.yaml").read_text() + "checkpoints: 3\n")
    with pytest.raises(SystemExit):
        main(["--config", str(wrong)])
    assert "checkpoints" in capsys.readouterr().err


def test_differences():
    before = yaml.safe_load("{a: {b: 1, c: 2}, resume: false, d: [1]}")
    now = yaml.safe_load("{a: {b: 1, c: 3, e: 4}, resume: true, d: [1, 2]}")
    assert differences(before, now) == ["a.c: 2 -> 3", "a.e: None -> 4", "d: [1] -> [1, 2]"]
    assert differences(before, before) == []
