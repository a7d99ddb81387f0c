/// Keys of LLaMA-Factory, Axolotl and TRL that have no counterpart here, each with what to do instead.
///
/// They are refused all the same: a setting that is silently dropped is one the user believes in.
enum ForeignKeys {
    /// What to say about `key`; nil when nothing is known of it.
    static func advice(on key: String) -> String? { table.first { $0.keys.contains(key) }?.advice }

    private static let table: [(keys: [String], advice: String)] = [
        (
            ["gradient_accumulation_steps"],
            "accumulation follows from global_batch_size, which is the sequences of a whole optimizer step"
        ),
        (
            ["batch_size", "train_batch_size", "per_gpu_train_batch_size"],
            "write global_batch_size for the sequences of a step, or micro_batch_size for those of one pass"
        ),
        (["lr", "lr_rate"], "write learning_rate"),
        (["epochs", "num_train_epoch"], "write num_train_epochs"),
        (["warmup_steps"], "write warmup_ratio, a share of the planned steps"),
        (["bf16", "fp16", "pure_bf16", "tf32", "torch_dtype", "dtype"], "write precision: auto, fp32 or bf16"),
        (["optim", "optimizer", "adamw_torch"], "the optimizer is AdamW; set adam_beta1, adam_beta2, adam_epsilon"),
        (
            ["load_in_8bit", "load_in_4bit", "quantization_bit", "quantization_method"],
            "weights are not quantised for training; leave it out"
        ),
        (
            ["deepspeed", "fsdp", "fsdp_config", "ddp_timeout", "local_rank", "nproc_per_node"],
            "workers are found and arranged by the coordinator; see workers.min and workers.max"
        ),
        (
            ["flash_attn", "flash_attention", "sdp_attention", "xformers_attention", "attn_implementation"],
            "there is one attention, chosen by the machine; leave it out"
        ),
        (
            ["do_train", "do_eval", "do_predict", "overwrite_output_dir", "overwrite_cache", "plot_loss"],
            "leave it out"
        ),
        (
            ["report_to", "wandb_project", "wandb_entity", "wandb_name", "use_wandb"],
            "every step is a line of trainer_log.jsonl; leave it out"
        ),
        (["dataset_dir"], "write dataset: [{path: DIR/dataset_info.json#NAME}]"),
        (["dataset_name", "data_path", "train_file"], "write dataset: [{path: …}]"),
        (["max_samples"], "cut the data file instead"),
        (["preprocessing_num_workers", "dataloader_num_workers", "dataset_num_proc"], "leave it out"),
        (["evals_per_epoch", "eval_strategy", "evaluation_strategy"], "write eval_steps"),
        (["saves_per_epoch", "save_strategy"], "write save_steps or save_interval"),
        (["per_device_eval_batch_size", "eval_batch_size"], "evaluation takes micro_batch_size; leave it out"),
        (["pad_to_sequence_len", "group_by_length"], "nothing is padded; leave it out"),
        (["neat_packing"], "packed documents never see each other; write packing"),
        (["use_peft"], "write finetuning_type: lora"),
        (
            ["assistant_only_loss", "completion_only_loss", "mask_history"],
            "answers alone are trained unless train_on_prompt is true; leave it out"
        ),
        (["pref_loss", "pref_beta", "beta", "rl"], "preference training is for a later version"),
        (["deadline"], "write budget.wall_clock"),
    ]
}
