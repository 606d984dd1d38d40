"""The words a component of a drawn system may be called by: one vocabulary for every problem, so that it gives no problem away."""

from __future__ import annotations

# What the picker shows: group, then kind and title.
KIND_GROUPS: dict[str, dict[str, str]] = {
    "Edge and routing": {
        "client": "Client",
        "gateway": "API gateway",
        "load_balancer": "Load balancer",
        "router": "Router",
        "queue": "Queue",
        "cache": "Cache",
        "handover": "Handover to a person",
    },
    "Retrieval": {
        "candidate_source": "Candidate source",
        "two_tower": "Two-tower model",
        "ann_index": "Vector index",
        "inverted_index": "Inverted index",
        "shards": "Shards",
        "merger": "Merger",
        "query_understanding": "Query understanding",
        "rewriter": "Query rewriter",
        "document_store": "Document store",
        "chunker": "Chunker",
        "embedder": "Embedding model",
        "vector_cache": "Vector cache",
        "hash_matcher": "Hash matcher",
    },
    "Ranking and decisions": {
        "light_ranker": "Light ranker",
        "ranker": "Ranker",
        "reranker": "Re-ranker",
        "blender": "Blender",
        "rules": "Rules",
        "policy_engine": "Policy engine",
        "exploration": "Exploration",
        "calibrator": "Calibrator",
        "auction": "Auction",
        "bot_filter": "Bot filter",
        "safety_filter": "Safety filter",
        "input_filter": "Input filter",
        "output_filter": "Output filter",
        "citation_check": "Citation check",
        "human_review": "Human review",
    },
    "Models and serving": {
        "model_server": "Model server",
        "embedding_service": "Embedding table service",
        "llm": "LLM",
        "prefill_pool": "Prefill pool",
        "decode_pool": "Decode pool",
        "kv_cache": "KV cache",
        "text_model": "Text model",
        "image_model": "Image model",
        "fusion": "Fusion",
        "backbone": "Backbone",
        "judge": "Judge model",
    },
    "Features and data": {
        "feature_store": "Feature store",
        "feature_service": "Feature service",
        "online_store": "Online store",
        "offline_store": "Offline store",
        "counter_store": "Counter store",
        "stream": "Stream",
        "stream_job": "Stream job",
        "batch_job": "Batch job",
        "log": "Event log",
        "archive": "Archive",
    },
    "Training and release": {
        "label_join": "Label join",
        "labelling": "Labelling",
        "data_engine": "Data engine",
        "trainer": "Trainer",
        "registry": "Model registry",
        "evaluator": "Evaluator",
        "gate": "Release gate",
        "canary": "Canary",
        "assigner": "Experiment assigner",
        "stats_engine": "Statistics engine",
        "monitor": "Monitor",
    },
    "Vehicles": {
        "sensor": "Sensor",
        "bev_grid": "Bird's-eye-view grid",
        "tracker": "Tracker",
        "predictor": "Motion predictor",
        "planner": "Planner",
        "simulator": "Simulator",
    },
}
COMPONENT_KINDS: dict[str, str] = {kind: title for group in KIND_GROUPS.values() for kind, title in group.items()}

# Other names of the same thing, which rubrics may use.
SAME_KIND: dict[str, str] = {
    "encoder": "embedder",
    "event_log": "log",
    "generator": "llm",
    "ingest_queue": "queue",
    "model_router": "router",
    "retrieval": "candidate_source",
    "review_queue": "human_review",
    "source_mixer": "blender",
    "user_tower": "two_tower",
    "vector_index": "ann_index",
}


def kind_of(name: str) -> str:
    """The word of the vocabulary for `name`; a name it does not know comes back as it is."""
    return SAME_KIND.get(name, name)
