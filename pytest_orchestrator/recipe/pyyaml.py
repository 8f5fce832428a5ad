"""PyYAML, imported without its patterns, which libyaml does not use."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml
    from yaml import MappingNode, Node, ScalarNode, SequenceNode
else:
    from pytest_orchestrator.core.text import import_without_patterns

    yaml = import_without_patterns("yaml")
    MappingNode, Node, ScalarNode = yaml.MappingNode, yaml.Node, yaml.ScalarNode
    SequenceNode = yaml.SequenceNode

__all__ = ["MappingNode", "Node", "ScalarNode", "SequenceNode", "yaml"]
