"""Process nodes of a script without a UI, for farms.

    nuke -t host_examples/nuke/farm.py SCRIPT.nk [--node NAME] [--execute WRITE] [--save OUT.nk]

Processes the STTN_Inpaint nodes of a script (or the one that is named), those that feed others
first, waits until they are done, then renders a Write, saves the script with its results, or both.
Exit code 1 where a node did not finish; its message says why.
"""

from __future__ import annotations

import argparse
import sys

import nuke


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="farm.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("script", help="script to open")
    parser.add_argument("--node", help="full name of one node; all by default")
    parser.add_argument("--execute", help="name of a Write to render afterwards")
    parser.add_argument("--save", help="where to save the script afterwards")
    given = parser.parse_args(arguments)
    from host_examples.nuke import process
    from host_examples.nuke.knobs import is_inpaint

    nuke.scriptOpen(given.script)
    groups = [
        node
        for node in nuke.allNodes("Group", recurseGroups=True)
        if is_inpaint(node) and given.node in (None, node.fullName())
    ]
    if not groups:
        print(f"{given.script} has no node {given.node or 'of STTN Inpaint'}", file=sys.stderr)
        return 1
    for group in sorted(groups, key=lambda group: len(_upstream(group))):
        assert isinstance(group, nuke.Group)
        process.process(group, wait=True)
        print(f"{group.fullName()}: {group['state'].value()}: {group['message'].value()}")
        if group["state"].value() != "DONE":
            return 1
    if given.execute:
        write = nuke.toNode(given.execute)
        if write is None:
            print(f"{given.script} has no node {given.execute}", file=sys.stderr)
            return 1
        root = nuke.root()
        nuke.execute(write, root.firstFrame(), root.lastFrame(), 1)
    if given.save:
        nuke.scriptSaveAs(given.save, overwrite=1)
    return 0


def _upstream(node: nuke.Node) -> set[str]:
    """Full names of all that its pixels may come from; of two in a chain the lower one has more."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        for each in _feeding(waiting.pop()):
            if each.fullName() not in found:
                found.add(each.fullName())
                waiting.append(each)
    return found


def _feeding(node: nuke.Node) -> list[nuke.Node]:
    pipes = nuke.INPUTS | nuke.HIDDEN_INPUTS
    inside = node.nodes() if isinstance(node, nuke.Group) else []
    around = nuke.toNode(node.fullName().rpartition(".")[0]) if node.Class() == "Input" else None
    outside = around.dependencies(pipes) if around is not None else []
    return [*node.dependencies(pipes), *inside, *outside]


if __name__ == "__main__":
    # Nuke hands a script its own arguments after the script's name.
    sys.exit(main(sys.argv[1:]))
