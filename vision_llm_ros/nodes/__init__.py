"""rclpy lives here and only here."""
