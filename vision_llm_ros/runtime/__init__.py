"""Frame and command to result: letterbox, engines, scheduler, worker. No ROS."""
