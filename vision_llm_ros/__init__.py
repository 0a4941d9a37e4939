"""Language-driven camera perception for ROS 2: one vision LLM, five systems, honest results."""

from pkgutil import extend_path

# Run from a source tree, the generated half (msg, srv, action and their type support)
# is the one that pip or colcon installed.
__path__ = extend_path(__path__, __name__)
__version__ = "0.1.0"
