"""Blender's side: a panel, an operator and a plain node group around :mod:`node.effect`.

The extension's own ``__init__.py`` is two lines that call what is here.
"""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from host_examples.blender import operators, panel, properties, results, stale

    properties.register()
    results.register()
    operators.register()
    panel.register()
    stale.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled; node groups stay and keep rendering."""
    from host_examples.blender import operators, panel, properties, results, stale

    stale.unregister()
    panel.unregister()
    operators.unregister()
    results.unregister()
    properties.unregister()
