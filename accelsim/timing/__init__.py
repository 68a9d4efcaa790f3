"""The timing rules, once: what each instruction accesses and costs, how ports and the DRAM bus are granted."""
