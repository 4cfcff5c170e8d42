from vicinal.distillation.static_model import distill as distill
