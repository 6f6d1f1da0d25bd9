"""The stages of a fine-tuning run: prepare, train, evaluate, publish. Shares only anneal_api with the operator."""
