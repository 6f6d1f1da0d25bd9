"""The transformers engine: an OpenAI-compatible server for CPU, development and small models.

`python -m anneal_server.inference --model DIR --name NAME ...`; engines/transformers.py builds the command.
"""
