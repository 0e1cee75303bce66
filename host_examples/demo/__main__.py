"""Starts the demo; nothing is imported before Ctrl-C has a meaning."""

from sttn.command_line import ended_by_ctrl_c


def main() -> None:
    """Run the command line of :mod:`host_examples.demo.command`."""
    with ended_by_ctrl_c():
        from host_examples.demo.command import main as command
    command()


if __name__ == "__main__":
    main()
