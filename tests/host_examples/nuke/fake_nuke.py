"""A recording stand-in for Nuke's ``nuke`` module, with the traps that crash or hang the real one.

What it knows of Nuke is in this file only: node classes and their knobs, which of them appear only
once a file type is chosen, and on which thread each call may be made. It renders nothing but the
``Export`` Write, for which it writes real EXR files.
"""

import queue
import threading
import time
import types
from pathlib import Path

import numpy as np
import OpenImageIO as oiio

STARTLINE = 0x1000
GUI = True
INPUTS, HIDDEN_INPUTS = 4, 2

CLASS_KNOBS = {
    "Group": ["knobChanged", "label"],
    "Input": [],
    "Output": [],
    "Copy": ["from0", "to0", "channels", "bbox"],
    "Remove": ["operation", "channels"],
    "Crop": ["box", "reformat", "crop"],
    "Switch": ["which"],
    "Write": [
        *("file", "file_type", "channels", "raw", "create_directories", "disable"),
    ],
    "Read": ["file", "raw", "first", "last", "origfirst", "origlast", "on_error", "colorspace"],
}
EXR_KNOBS = ["datatype", "compression", "autocrop"]
CHOICES = {
    "datatype": ["16 bit half", "32 bit float"],
    "compression": ["none", "Zip (1 scanline)", "Zip (16 scanlines)"],
    "on_error": ["error", "black", "checkerboard", "nearest frame"],
}


class FakeNuke(types.ModuleType):
    """One Nuke session."""

    def __init__(self, first=1001, last=1004, width=96, height=96):
        super().__init__("nuke")
        self.STARTLINE, self.GUI = STARTLINE, GUI
        self.INPUTS, self.HIDDEN_INPUTS = INPUTS, HIDDEN_INPUTS
        self.main = threading.current_thread()
        self.calls = []
        self.messages = []
        self.tasks = []
        self.layers = {}
        self.created = []
        self.selected = []
        self.context = None
        self.fail_at = None
        self.width, self.height = width, height
        self._queue = queue.Queue()
        self._root = Node(self, "Root", ["proxy"])
        self._root.firstFrame = lambda: first
        self._root.lastFrame = lambda: last
        self._root["proxy"].setValue(False)
        self.views_ = ["main"]
        self.plate_channels = "RGBA"
        self.plate_layers = []
        self.tcl = {}
        self.callbacks = []
        self.this = None
        self.nodes = Nodes(self)
        self.menus = {}
        self.Group, self.Node, self.Knob = Group, Node, Knob
        for kind in ("Tab_Knob", "String_Knob", "Boolean_Knob", "Channel_Knob"):
            setattr(self, kind, type(kind, (Knob,), {}))
        self.File_Knob = FileKnob
        self.Int_Knob = type("Int_Knob", (Knob,), {"empty": 0})
        self.Double_Knob = type("Double_Knob", (Knob,), {"setRange": lambda *_: None})
        self.Enumeration_Knob, self.PyScript_Knob = EnumerationKnob, ScriptKnob

    # What the code under test calls.

    def root(self):
        return self._root

    def views(self):
        return self.views_

    def message(self, text):
        self.require_main("message")
        self.messages.append(text)

    def Layer(self, name, channels):
        self.layers[name] = channels

    def FrameRange(self, text):
        text, _, step = text.partition("x")
        first, _, last = text.partition("-")
        numbers = int(first), int(last or first)
        count = abs(numbers[1] - numbers[0]) // int(step or 1) + 1
        return types.SimpleNamespace(
            first=lambda: numbers[0], last=lambda: numbers[1], frames=lambda: count
        )

    def ProgressTask(self, title):
        self.tasks.append(Task(title))
        return self.tasks[-1]

    def menu(self, name):
        return self.menus.setdefault(name, Menu())

    def createNode(self, kind, inpanel=True):
        return getattr(self.nodes, kind)()

    def selectedNodes(self):
        return list(self.selected)

    def toNode(self, name):
        return next((node for node in self.created if node.fullName() == name), None)

    def allNodes(self, kind, recurseGroups=False):  # noqa: N803
        return [node for node in self.created if node.Class() == kind]

    def addOnCreate(self, call, args=(), kwargs=None, nodeClass="*"):  # noqa: N803
        self.callbacks.append((call, nodeClass))

    def thisNode(self):
        return self.this

    def delete(self, node):
        self.require_main("deleting")
        self.created.remove(node)
        node.gone = True

    def scriptOpen(self, path):
        self.calls.append(("scriptOpen", path))

    def scriptSaveAs(self, path, overwrite=0):
        self.calls.append(("scriptSaveAs", path, overwrite))

    def execute(self, node, first, last, incr):
        self.require_main("execute")
        assert not node["disable"].value(), f"{node.name()} is disabled"
        self.calls.append(("execute", node.name(), first, last, self._root["proxy"].value()))
        if node.name().endswith("Export"):
            for frame in range(first, last + 1):
                if frame == self.fail_at:
                    raise RuntimeError("Cancelled")
                self._render(node, frame)

    def executeInMainThread(self, call, args=()):
        self._request(call, args)

    def executeInMainThreadWithResult(self, call, args=()):
        self._request(call, args).wait()

    # What a test does with it.

    def load(self, node):
        """What Nuke calls once a node has come with a script, a paste or an undo."""
        self.this = node
        for call, kind in self.callbacks:
            if kind in ("*", node.Class()):
                call()
        self.this = None

    def run_main_loop(self, until, seconds=240):
        """Carry out what threads ask of the main thread, as Nuke's event loop does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if until():
                return
            try:
                call, args, done = self._queue.get(timeout=0.02)
            except queue.Empty:
                continue
            try:
                call(*args)
            finally:
                done.set()
        raise AssertionError("the main loop waited in vain")

    def require_main(self, what):
        if threading.current_thread() is not self.main:
            raise AssertionError(f"{what} off the main thread crashes Nuke")

    def _request(self, call, args):
        if threading.current_thread() is self.main:
            raise AssertionError("executeInMainThread on the main thread hangs Nuke")
        done = threading.Event()
        self._queue.put((call, args, done))
        return done

    def _render(self, write, frame):
        assert write["raw"].value() is True
        assert write["channels"].value() == "all"
        crop = write.inputs_[0]
        copy = crop.inputs_[0]
        image = copy.inputs_[0]
        keeps = image.Class() == "Remove" and image["operation"].value() == "keep"
        others = [] if keeps else self.plate_layers
        left, bottom, right, top = (crop["box"].values.get(index) for index in range(4))
        width, height = right - left, top - bottom
        plate, matte = footage(frame, width, height)
        assert copy["from0"].value() == "rgba.alpha"
        names = ["R", "G", "B", "A"]
        pixels = plate
        if self.plate_channels == "RGB" and copy["to0"].value() != "rgba.alpha":
            names = ["R", "G", "B"]
        if copy.inputs_[1].name() == "HoldOut":
            pixels = plate.copy()
            pixels[..., 3] = 0
            pixels[: height // 2, : width // 2 - 4, 3] = 1
        if copy["to0"].value() != "rgba.alpha":
            names.append(copy["to0"].value())
            same = copy.inputs_[1].name() == "Source"
            layer = plate[..., 3] if same else matte
            pixels = np.concatenate([plate[..., : len(names) - 1], layer[..., None]], axis=-1)
        for layer in others:
            names.append(layer)
            pixels = np.concatenate([pixels, plate[..., :1]], axis=-1)
        of_image = image.format()
        spec = oiio.ImageSpec(width, height, len(names), oiio.FLOAT)
        spec.channelnames = tuple(names)
        spec.x, spec.y = left, of_image.height() - top
        spec.full_width, spec.full_height = of_image.width(), of_image.height()
        spec.attribute("nuke/version", "stand-in")
        path = write["file"].value().replace("####", f"{frame:04d}")
        output = oiio.ImageOutput.create(path)
        output.open(path, spec)
        output.write_image(pixels)
        output.close()


def footage(frame, width, height):
    """Plate (H, W, 4) and matte (H, W) of a frame: texture that pans, and a square hole."""
    rng = np.random.default_rng(1)
    texture = rng.uniform(0, 1, (height // 4 + 1, width // 4 + 16, 3)).repeat(4, 0).repeat(4, 1)
    shift = frame % 8
    plate = np.ones((height, width, 4), np.float32)
    plate[..., :3] = texture[:height, shift : shift + width]
    plate[0, 0, :3] = np.inf
    matte = np.zeros((height, width), np.float32)
    matte[height // 3 : height // 2, width // 3 : width // 2] = 1
    return plate, matte


class Task:
    def __init__(self, title):
        self.title, self.cancelled, self.told = title, False, []

    def isCancelled(self):
        return self.cancelled

    def setMessage(self, text):
        self.told.append(text)

    def setProgress(self, percent):
        assert isinstance(percent, int)
        assert 0 <= percent <= 100


class Knob:
    empty = ""

    def __init__(self, name, label="", *rest):
        self._name, self.text, self.rest = name, label, rest
        self._value = self.empty
        self.values = {}
        self.expression = None
        self.tooltip = ""
        self.owner = None

    def name(self):
        return self._name

    def value(self):
        return self._value

    def setValue(self, value, index=0):
        if self.owner is not None:
            self.owner.session.require_main(f"setting {self._name}")
        choices = CHOICES.get(self._name)
        assert choices is None or value in choices, f"{self._name} has no {value!r}"
        self._value = value
        self.values[index] = value

    def setExpression(self, expression):
        self.owner.session.require_main(f"setting {self._name}")
        self.expression = expression

    def setTooltip(self, text):
        self.tooltip = text

    def setFlag(self, flag):
        pass

    def setEnabled(self, enabled):
        pass


class FileKnob(Knob):
    def getEvaluatedValue(self):
        """TCL is evaluated, and a pattern told as Nuke tells it: ``%04d``."""
        text = self._value
        for expression, value in self.owner.session.tcl.items():
            text = text.replace(expression, value)
        return text.replace("####", "%04d") or None


class EnumerationKnob(Knob):
    def setValue(self, value, index=0):
        assert value in self.rest[0]
        super().setValue(value, index)


class ScriptKnob(Knob):
    def __init__(self, name, label, script):
        super().__init__(name, label)
        self.script = script


class Node:
    def __init__(self, session, kind, knobs):
        self.session, self._kind = session, kind
        self._knobs, self.inputs_, self.parent_ = {}, {}, None
        self.gone = self.panel = False
        self.size = session.width, session.height
        for name in knobs:
            self.addKnob(Knob(name))
        self._name = kind

    def Class(self):
        return self._kind

    def name(self):
        return self._name

    def firstFrame(self):
        return self.session.root().firstFrame()

    def lastFrame(self):
        return self.session.root().lastFrame()

    def fullName(self):
        self._require_there()
        return f"{self.parent_.fullName()}.{self._name}" if self.parent_ else self._name

    def setName(self, name, uncollide=True):
        self._name = name

    def addKnob(self, knob):
        knob.owner = self
        self._knobs[knob.name()] = knob

    def showControlPanel(self):
        self.session.require_main("opening a panel")
        self.panel = True

    def knob(self, name):
        return self._knobs.get(name)

    def _require_there(self):
        if self.gone:
            raise ValueError("A PythonObject is not attached to a node")

    def __getitem__(self, name):
        self._require_there()
        if self._kind == "Write" and name in EXR_KNOBS and name not in self._knobs:
            assert self._knobs["file_type"].value() == "exr", f"{name} comes with the file type"
            self.addKnob(Knob(name))
        if name not in self._knobs:
            raise NameError(f"knob {name} does not exist")
        return self._knobs[name]

    def input(self, index):
        return self.inputs_.get(index)

    def dependencies(self, mask):
        """What is connected; all inputs here are shown ones."""
        connected = self.inputs_.values() if mask & INPUTS else ()
        return [node for node in connected if node is not None]

    def setInput(self, index, node):
        self.session.require_main("connecting")
        self.inputs_[index] = node
        return True

    def format(self):
        """Of what is made here, else of the first input; an Input's is its group's."""
        first = self.inputs_.get(0)
        if self._kind == "Input":
            inputs = [node for node in self.parent_.children if node.Class() == "Input"]
            first = self.parent_.input(inputs.index(self))
        if first is not None:
            return first.format()
        width, height = self.size
        return types.SimpleNamespace(width=lambda: width, height=lambda: height)


class Group(Node):
    def __init__(self, session, kind, knobs):
        super().__init__(session, kind, knobs)
        self.children = []

    def node(self, name):
        return next((node for node in self.children if node.name() == name), None)

    def nodes(self):
        return list(self.children)

    def __enter__(self):
        self.session.context = self
        return self

    def __exit__(self, *_):
        self.session.context = None


class Nodes:
    def __init__(self, session):
        self._session = session

    def __getattr__(self, kind):
        session = self._session

        def create(inputs=(), name=None, **knobs):
            session.require_main(f"creating a {kind}")
            made = (Group if kind == "Group" else Node)(session, kind, CLASS_KNOBS[kind])
            made.setName(name or kind)
            for index, each in enumerate(inputs):
                made.setInput(index, each)
            for knob, value in knobs.items():
                made[knob].setValue(value)
            if session.context is not None:
                made.parent_ = session.context
                session.context.children.append(made)
            session.created.append(made)
            return made

        return create


class Menu:
    def __init__(self):
        self.entries = {}

    def addMenu(self, name):
        return self.entries.setdefault(name, Menu())

    def addCommand(self, name, script):
        self.entries[name] = script


def exported(folder: Path) -> list[str]:
    """Exported files that are still there."""
    return sorted(path.name for path in folder.rglob("export.*"))
