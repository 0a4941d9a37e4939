"""The network: backbone, text encoder, image tokenizer, LLM with named adapters, decoders. No ROS."""
