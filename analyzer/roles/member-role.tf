# The role that demurrage assumes in a member account, as a Terraform module of one file. It reads, and
# changes nothing. `demurrage role terraform` prints it, README.md says how to roll it out.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 4.0"
    }
  }
}

variable "trusted_principal_arn" {
  description = "ARN of the role or user that demurrage runs as, or of its account's root."
  type        = string
}

variable "organization_id" {
  description = "Only principals of this organization (o-...) may assume the role. Empty for no such condition."
  type        = string
  default     = ""
}

variable "external_id" {
  description = "What demurrage's --external-id must say to assume the role. Empty for no such condition."
  type        = string
  default     = ""
}

variable "role_name" {
  description = "Name of the role, the same in all accounts."
  type        = string
  default     = "demurrage-reader"
}

variable "workloads" {
  description = "Whether to read what uses images. lambda:GetFunction also gives links to functions' code."
  type        = bool
  default     = true
}

variable "public_registry" {
  description = "Whether to read the account's registry in ECR Public, if it has one."
  type        = bool
  default     = true
}

variable "verify_previews" {
  description = "Whether `demurrage verify` may ask ECR for lifecycle previews, which AWS counts as a write."
  type        = bool
  default     = false
}

variable "pulls" {
  description = "Whether `demurrage ingest` may read CloudTrail's event history, and where instances and endpoints are."
  type        = bool
  default     = false
}

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

locals {
  repositories = "arn:${data.aws_partition.current.partition}:ecr:*:${data.aws_caller_identity.current.account_id}:repository/*"
  public       = "arn:${data.aws_partition.current.partition}:ecr-public::${data.aws_caller_identity.current.account_id}:repository/*"
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [var.trusted_principal_arn]
    }

    dynamic "condition" {
      for_each = var.organization_id == "" ? [] : [var.organization_id]
      content {
        test     = "StringEquals"
        variable = "aws:PrincipalOrgID"
        values   = [condition.value]
      }
    }

    dynamic "condition" {
      for_each = var.external_id == "" ? [] : [var.external_id]
      content {
        test     = "StringEquals"
        variable = "sts:ExternalId"
        values   = [condition.value]
      }
    }
  }
}

data "aws_iam_policy_document" "registries" {
  statement {
    resources = [local.repositories]
    actions = [
      "ecr:BatchGetImage",
      "ecr:BatchGetRepositoryScanningConfiguration",
      "ecr:DescribeImages",
      "ecr:DescribeRepositories",
      "ecr:GetLifecyclePolicy",
      "ecr:GetRepositoryPolicy",
      "ecr:ListTagsForResource",
    ]
  }

  statement {
    resources = ["*"]
    actions = [
      "account:ListRegions",
      "ec2:DescribeRegions",
      "ecr:DescribePullThroughCacheRules",
      "ecr:DescribeRegistry",
      "ecr:DescribeRepositoryCreationTemplates",
      "ecr:GetAccountSetting",
      "ecr:GetRegistryPolicy",
      "ecr:GetRegistryScanningConfiguration",
      "ecr:ListPullTimeUpdateExclusions",
    ]
  }
}

data "aws_iam_policy_document" "public" {
  statement {
    resources = [local.public]
    actions = [
      "ecr-public:DescribeImages",
      "ecr-public:DescribeRepositories",
      "ecr-public:GetRepositoryPolicy",
      "ecr-public:ListTagsForResource",
    ]
  }

  statement {
    resources = ["*"]
    actions   = ["ecr-public:DescribeRegistries"]
  }
}

data "aws_iam_policy_document" "workloads" {
  statement {
    resources = ["*"]
    actions = [
      "apprunner:DescribeService",
      "apprunner:ListServices",
      "batch:DescribeJobDefinitions",
      "batch:DescribeJobQueues",
      "batch:DescribeJobs",
      "batch:ListJobs",
      "codebuild:BatchGetProjects",
      "codebuild:ListProjects",
      "ecs:DescribeServiceRevisions",
      "ecs:DescribeServices",
      "ecs:DescribeTaskDefinition",
      "ecs:DescribeTasks",
      "ecs:ListClusters",
      "ecs:ListServices",
      "ecs:ListTaskDefinitions",
      "ecs:ListTasks",
      "eks:DescribeCluster",
      "eks:ListClusters",
      "events:ListRuleNamesByTarget",
      "events:ListTargetsByRule",
      "inspector2:ListCoverage",
      "lambda:GetFunction",
      "lambda:ListFunctions",
      "sagemaker:DescribeEndpoint",
      "sagemaker:DescribeModel",
      "sagemaker:ListEndpoints",
      "sagemaker:ListModels",
      "scheduler:GetSchedule",
      "scheduler:ListSchedules",
    ]
  }
}

data "aws_iam_policy_document" "verify" {
  statement {
    resources = [local.repositories]
    actions = [
      "ecr:GetLifecyclePolicyPreview",
      "ecr:StartLifecyclePolicyPreview",
    ]
  }
}

data "aws_iam_policy_document" "pulls" {
  statement {
    resources = ["*"]
    actions = [
      "cloudtrail:LookupEvents",
      "ec2:DescribeInstances",
      "ec2:DescribeVpcEndpoints",
    ]
  }
}

resource "aws_iam_role" "demurrage" {
  name                 = var.role_name
  description          = "Read-only, for demurrage"
  max_session_duration = 3600
  assume_role_policy   = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "registries" {
  name   = "registries"
  role   = aws_iam_role.demurrage.id
  policy = data.aws_iam_policy_document.registries.json
}

resource "aws_iam_role_policy" "public" {
  count  = var.public_registry ? 1 : 0
  name   = "public"
  role   = aws_iam_role.demurrage.id
  policy = data.aws_iam_policy_document.public.json
}

resource "aws_iam_role_policy" "workloads" {
  count  = var.workloads ? 1 : 0
  name   = "workloads"
  role   = aws_iam_role.demurrage.id
  policy = data.aws_iam_policy_document.workloads.json
}

resource "aws_iam_role_policy" "verify" {
  count  = var.verify_previews ? 1 : 0
  name   = "verify"
  role   = aws_iam_role.demurrage.id
  policy = data.aws_iam_policy_document.verify.json
}

resource "aws_iam_role_policy" "pulls" {
  count  = var.pulls ? 1 : 0
  name   = "pulls"
  role   = aws_iam_role.demurrage.id
  policy = data.aws_iam_policy_document.pulls.json
}

output "role_arn" {
  description = "ARN of the role; its name is what --role-name takes."
  value       = aws_iam_role.demurrage.arn
}
