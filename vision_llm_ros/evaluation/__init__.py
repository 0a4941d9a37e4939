"""Metrics, recordings, replay, reports. Needs no ROS graph."""
